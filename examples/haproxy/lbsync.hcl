# Follows one agent and keeps HAProxy's servers equal to the members that announce the service "web" (-tag svc:web=PORT).
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
  drain {
    timeout = "10s" # for requests that a server has when it goes
  }
}

target "haproxy" "edge" {
  config = "haproxy.cfg"
  file {
    dest = "backend.cfg"
  }
  runtime {
    socket = "/run/haproxy/admin.sock" # servers come and go through it
  }
  reload {
    master = "/run/haproxy/master.sock" # for what cannot be changed in a running HAProxy; not needed here
  }
  backend "web" {
    service = "web"
    options = "check inter 500ms rise 1 fall 2"
  }
}
