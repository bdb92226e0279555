output "parse_tags" {
  value = provider::gossip::parse_tags("role=web,zone=a")
}
