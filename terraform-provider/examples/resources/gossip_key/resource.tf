# A new key is installed everywhere, then used, and only then the old one is removed. Change the version to rotate.
ephemeral "gossip_key" "new" {}

resource "gossip_key" "this" {
  key_wo         = ephemeral.gossip_key.new.key
  key_wo_version = "2026-11"

  lifecycle {
    create_before_destroy = true
  }
}

resource "gossip_primary_key" "this" {
  key_id = gossip_key.this.key_id
}
