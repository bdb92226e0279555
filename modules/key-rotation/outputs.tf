output "key_id" {
  description = "Fingerprint of the key in use. It gives nothing of the key away."
  value       = gossip_primary_key.this.key_id
}

output "complete" {
  description = "Whether every node has the key."
  value       = gossip_key.this.complete
}

output "nodes" {
  description = "Number of nodes that were asked."
  value       = data.gossip_keyring.after.nodes
}

output "installed" {
  description = "Number of nodes that have each key, by fingerprint. While a rotation is applied the key before is still among them."
  value       = data.gossip_keyring.after.installed
}
