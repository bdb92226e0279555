output "parse_address" {
  value = provider::gossip::parse_address("[2001:db8::1]:7946").host
}
