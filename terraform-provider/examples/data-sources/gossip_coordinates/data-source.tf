data "gossip_coordinates" "from_db" {
  from = "db-1"
}

output "nearest_to_db" {
  value = slice(data.gossip_coordinates.from_db.nearest, 0, 3)
}
