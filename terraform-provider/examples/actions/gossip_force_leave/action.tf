# terraform apply -invoke=action.gossip_force_leave.old
action "gossip_force_leave" "old" {
  config {
    name  = "web-3"
    prune = true
  }
}
