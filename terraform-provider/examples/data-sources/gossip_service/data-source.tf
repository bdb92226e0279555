data "gossip_service" "api" {
  name = "api"
  tags = { dc = "eu1" }
  wait = { min = 2 }
}

output "api_endpoints" {
  value = data.gossip_service.api.endpoints # ["10.0.0.5:8080", "10.0.0.6:8080"]
}
