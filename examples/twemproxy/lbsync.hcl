# Follows one agent and keeps the two pools of a nutcracker equal to the members that announce the services "cache" and
# "store" (-tag svc:cache=PORT).
state_dir = "state"

source "gossip" {
  address = "127.0.0.1:7373" # the agent's RPC
  settle  = "2s"             # this cluster is young; leave it out on a server
}

service "cache" {
  endpoint {
    allow_loopback = true # only because all of this runs on one machine
  }
}

service "store" {
  endpoint {
    allow_loopback = true
  }
}

target "twemproxy" "kv" {
  file {
    dest = "pools.yml"
  }
  restart {
    command      = ["sh", "restart"] # ["systemctl", "restart", "nutcracker"] elsewhere
    stats        = "127.0.0.1:22222"
    min_interval = "3s" # 5m unless told otherwise: a restart cuts the connections of all clients
  }
  pool "cache" {
    service = "cache"
    listen  = "127.0.0.1:22121"
  }
  pool "store" {
    service = "store"
    listen  = "127.0.0.1:22122"
    redis   = true
  }
}
