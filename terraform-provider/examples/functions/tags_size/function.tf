output "tags_size" {
  value = provider::gossip::tags_size({ role = "web" })
}
