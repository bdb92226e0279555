resource "gossip_tags" "web" {
  node = "web-1" # refuse to tag another agent

  tags = {
    "svc:web" = "8080,w=50" # published in DNS as web.service.gossip
    release   = "v42"
  }
}
