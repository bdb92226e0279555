resource "gossip_key" "this" {
  key_wo         = var.key
  key_wo_version = var.key_version
  require_all    = var.require_all

  timeouts = {
    create = var.timeout
    update = var.timeout
    delete = var.timeout
  }

  # The old key goes only once the new one is in use everywhere.
  lifecycle {
    create_before_destroy = true
  }
}

resource "gossip_primary_key" "this" {
  key_id = gossip_key.this.key_id

  timeouts = {
    create = var.timeout
    update = var.timeout
  }
}
