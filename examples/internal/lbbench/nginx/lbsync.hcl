state_dir = "state"
source "gossip" {
  address = "127.0.0.1:7373"
  settle  = "1s"
}
service "web" {
  endpoint { allow_loopback = true }
}
target "nginx" "bench" {
  config = "nginx.conf"
  file {
    dest  = "upstream.conf"
    adopt = true
  }
  reload {
    pid_file     = "nginx.pid"
    min_interval = "13s"
  }
  upstream "web" {
    service = "web"
    options = "max_fails=1 fail_timeout=5s"
  }
}
