output "format_tags" {
  value = provider::gossip::format_tags({ zone = "a", role = "web" })
}
