output "key_id" {
  description = "Fingerprint of the key in use. It gives nothing of the key away."
  value       = gossip_primary_key.this.key_id
}

output "complete" {
  description = "Whether every node has the key."
  value       = gossip_key.this.complete
}
