provider "gossip" {
  alias   = "db"
  address = "10.0.0.5:7373"
}

resource "gossip_join" "db" {
  provider      = gossip.db
  peers         = ["10.0.0.2:7946", "10.0.0.3"]
  min_contacted = 2
  wait          = { min = 5, stable_for = "3s" }
}
