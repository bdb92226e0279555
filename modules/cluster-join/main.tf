resource "gossip_join" "this" {
  peers         = var.peers
  min_contacted = var.min_contacted
  replay_events = var.replay_events
  triggers      = var.triggers
  on_destroy    = "none"

  wait = {
    min        = var.min_members
    stable_for = var.stable_for
  }

  timeouts = {
    create = var.timeout
    update = var.timeout
  }
}

# Read after joining, so that whoever uses the outputs sees the cluster that was joined.
data "gossip_members" "alive" {
  depends_on = [gossip_join.this]
}
