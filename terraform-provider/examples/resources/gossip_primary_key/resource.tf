resource "gossip_primary_key" "this" {
  key_id = "31326cd8db972390f0a41fe9354e3830"
}
