resource "gossip_barrier" "databases" {
  min_alive  = 3
  tags       = { role = "db" }
  stable_for = "5s"
}

resource "gossip_event" "migrate" {
  name       = "migrate"
  depends_on = [gossip_barrier.databases]
}
