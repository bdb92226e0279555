output "release" {
  description = "The release that all waves run."
  value       = var.release
  depends_on  = [gossip_event.wave_1, gossip_event.wave_2, gossip_event.wave_3, gossip_event.wave_4, gossip_event.wave_5, gossip_event.wave_6, gossip_event.wave_7, gossip_event.wave_8]
}

output "approved" {
  description = "Names of the members that answered well, by wave."
  value = { for i, events in [
    gossip_event.wave_1,
    gossip_event.wave_2,
    gossip_event.wave_3,
    gossip_event.wave_4,
    gossip_event.wave_5,
    gossip_event.wave_6,
    gossip_event.wave_7,
    gossip_event.wave_8,
  ] : var.waves[i] => events[0].approved if length(events) > 0 }
}
