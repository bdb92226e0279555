data "gossip_keyring" "all" {}

output "rotation_is_complete" {
  value = data.gossip_keyring.all.consistent && length(data.gossip_keyring.all.key_ids) == 1
}
