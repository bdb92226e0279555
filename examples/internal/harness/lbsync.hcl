# Follows one agent and keeps HAProxy's backend equal to the members that publish the service "web".
state_dir = "state"

source "gossip" {
  address = "{{.RPC}}"
  settle  = "1s"
}

service "web" {
  endpoint {
    allow_loopback = true # only because all of this runs on one machine
  }
}

target "haproxy" "edge" {
  config = "haproxy.cfg"
  file {
    dest  = "backend.cfg"
    adopt = true # HAProxy needed an empty one to start with
  }
  reload {
    master = "haproxy-master.sock"
  }
  backend "web" {
    service = "web"
    options = "check inter 500ms"
  }
}
