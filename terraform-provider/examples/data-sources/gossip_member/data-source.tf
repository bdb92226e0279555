# Waits until the member is alive.
data "gossip_member" "db" {
  name = "db-1"
  wait = {}
}
