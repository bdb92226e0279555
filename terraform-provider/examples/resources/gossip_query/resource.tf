resource "gossip_query" "uptime" {
  name          = "uptime"
  filter_tags   = { role = "web|api" }
  min_responses = 3
  triggers      = { always = plantimestamp() } # asks at every apply
}

output "uptime" {
  value = gossip_query.uptime.responses
}
