# terraform apply -invoke=action.gossip_rejoin.site
action "gossip_rejoin" "site" {
  config {
    peers = ["10.1.0.1:7946", "10.1.0.2:7946"]
  }
}
