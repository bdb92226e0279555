state_dir = "state"
source "gossip" {
  address = "127.0.0.1:7373"
  settle  = "1s"
}
service "web" {
  endpoint { allow_loopback = true }
  drain { timeout = "2s" }
}
target "haproxy" "bench" {
  config = "haproxy.cfg"
  file {
    dest  = "backend.cfg"
    adopt = true
  }
  runtime { socket = "/run/lb/admin.sock" }
  reload { master = "/run/lb/master.sock" }
  backend "web" {
    service = "web"
    options = "check inter 500ms rise 1 fall 2"
  }
}
