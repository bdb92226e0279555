variable "release" {
  type = string
}

# Fires `user:deploy`. The apply succeeds once 90 % of the web servers answer the query `release` with that
# release, and fails after five minutes with the names of the others.
resource "gossip_event" "deploy" {
  name    = "deploy"
  payload = var.release

  gate = {
    query       = "release"
    filter_tags = { role = "web" }
    expect      = var.release
    min_percent = 90
    timeout     = "5m"
  }
}

# Fires whenever the web servers change, and waits until every member's handler is through.
data "gossip_members" "web" {
  tags = { role = "web" }
}

resource "gossip_event" "reload" {
  name     = "reload"
  triggers = { web = data.gossip_members.web.digest }
  wait     = { timeout = "1m" }
}
