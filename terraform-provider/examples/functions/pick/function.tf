output "pick" {
  value = provider::gossip::pick("shard-7", ["cache-1", "cache-2", "cache-3"], 2)
}
