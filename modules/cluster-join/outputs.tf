output "node" {
  description = "Node name of the agent that joined."
  value       = gossip_join.this.node
}

output "contacted" {
  description = "Number of peers that were reached."
  value       = gossip_join.this.contacted
}

output "members" {
  description = "Node names of all alive members, sorted."
  value       = data.gossip_members.alive.names
}

output "endpoints" {
  description = "Gossip addresses of all alive members as host:port, in the order of members."
  value       = data.gossip_members.alive.endpoints
}

output "digest" {
  description = "Fingerprint of the alive members, for triggers: it changes when one of them does."
  value       = data.gossip_members.alive.digest
}
