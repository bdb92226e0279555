data "gossip_service" "this" {
  for_each = var.services

  name = each.key
  tags = var.tags

  wait = {
    min        = each.value
    stable_for = var.stable_for
  }

  guard = {
    min_alive = var.min_alive
  }

  timeouts = {
    read = var.timeout
  }
}
