# Follows one agent and keeps nginx's upstream equal to the members that announce the service "web" (-tag svc:web=PORT).
state_dir = "state"

source "gossip" {
  address = "127.0.0.1:7373" # the agent's RPC
  settle  = "1s"             # this cluster is young; leave it out on a server
}

service "web" {
  endpoint {
    allow_loopback = true # only because all of this runs on one machine
  }
  guard {
    failed_grace = "3s" # who failed may come back within it and was never out
  }
}

target "nginx" "www" {
  config = "nginx.conf"
  file {
    dest = "upstream.conf"
  }
  reload {
    pid_file     = "nginx.pid"
    min_interval = "5s" # changes that come sooner wait for each other
  }
  upstream "web" {
    service = "web"
    options = "max_fails=1 fail_timeout=5s"
  }
}
