data "gossip_members" "web" {
  name_regex = "web-.*"
  tags       = { role = "web", dc = "eu1" }

  wait     = { min = 3, stable_for = "5s" }
  guard    = { min_alive = 10 }
  timeouts = { read = "2m" }
}

resource "terraform_data" "per_server" {
  for_each = data.gossip_members.web.by_name
  input    = "${each.key} at ${each.value.address}"
}
