# A cluster, and a release on it: joins three agents, waits for them, deploys, finds out whether that worked, and only then
# publishes the web servers, which makes gossip-lbsync put them into HAProxy.

terraform {
  required_providers {
    gossip = {
      source = "seed-645ce708/gossip"
    }
  }
}

variable "agents" {
  description = "The agents by name: RPC and gossip address, and the port of the web server beside it."
  type        = map(object({ rpc = string, gossip = string, web_port = number }))
}

variable "release" {
  description = "What to deploy."
  type        = string
}

variable "draining" {
  description = "Names of agents whose web server is to get nothing new."
  type        = set(string)
  default     = []
}

# An agent is told of itself only by itself: each has a provider of its own.
provider "gossip" {
  address = var.agents["web-1"].rpc
}

provider "gossip" {
  alias   = "web_2"
  address = var.agents["web-2"].rpc
}

provider "gossip" {
  alias   = "web_3"
  address = var.agents["web-3"].rpc
}

resource "gossip_join" "web_2" {
  provider = gossip.web_2
  peers    = [var.agents["web-1"].gossip]
}

resource "gossip_join" "web_3" {
  provider = gossip.web_3
  peers    = [var.agents["web-1"].gossip]
}

resource "gossip_barrier" "all" {
  min_alive  = length(var.agents)
  depends_on = [gossip_join.web_2, gossip_join.web_3]
}

# Handlers of user:deploy install the release; the handler of query:release says what runs.
resource "gossip_event" "deploy" {
  name       = "deploy"
  payload    = var.release
  depends_on = [gossip_barrier.all]

  wait = {
    timeout = "1m"
  }

  gate = {
    query    = "release"
    expect   = var.release
    timeout  = "1m"
    interval = "200ms"
  }
}

locals {
  service = { for name, agent in var.agents : name => "${agent.web_port}${contains(var.draining, name) ? ",drain" : ""}" }
}

resource "gossip_tags" "web_1" {
  node       = "web-1"
  tags       = { "svc:web" = local.service["web-1"] }
  depends_on = [gossip_event.deploy]
}

resource "gossip_tags" "web_2" {
  provider   = gossip.web_2
  node       = "web-2"
  tags       = { "svc:web" = local.service["web-2"] }
  depends_on = [gossip_event.deploy]
}

resource "gossip_tags" "web_3" {
  provider   = gossip.web_3
  node       = "web-3"
  tags       = { "svc:web" = local.service["web-3"] }
  depends_on = [gossip_event.deploy]
}

output "approved" {
  description = "Who runs the release."
  value       = gossip_event.deploy.approved
}
