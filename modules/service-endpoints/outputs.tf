output "endpoints" {
  description = "host:port of each instance that has a port, by service."
  value       = { for name, service in data.gossip_service.this : name => service.endpoints }
}

output "addresses" {
  description = "IP addresses of the instances, by service."
  value       = { for name, service in data.gossip_service.this : name => service.addresses }
}

output "instances" {
  description = "The instances by service and node name, with port, weight, priority and tags, for for_each."
  value       = { for name, service in data.gossip_service.this : name => service.by_node }
}

output "digest" {
  description = "Changes only when an instance does, for triggers."
  value       = sha256(join(" ", [for name in sort(keys(data.gossip_service.this)) : data.gossip_service.this[name].digest]))
}
