# terraform apply -invoke=action.gossip_query.uptime
action "gossip_query" "uptime" {
  config {
    name = "uptime"
  }
}
