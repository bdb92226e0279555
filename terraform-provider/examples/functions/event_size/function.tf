output "event_size" {
  value = provider::gossip::event_size("deploy", "v42")
}
