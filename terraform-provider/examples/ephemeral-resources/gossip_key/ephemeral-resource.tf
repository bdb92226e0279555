ephemeral "gossip_key" "new" {
  length = 32
}

resource "gossip_key" "this" {
  key_wo         = ephemeral.gossip_key.new.key
  key_wo_version = 1
}
