output "format_address" {
  value = provider::gossip::format_address("2001:db8::1", 7946)
}
