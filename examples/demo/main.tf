# Joins the agent that Terraform talks to, and then announces a release.

terraform {
  required_providers {
    gossip = { source = "seed-645ce708/gossip" }
  }
}

variable "agent" { type = string } # RPC address of the agent to work through
variable "peer" { type = string }  # gossip address of any member of the cluster
variable "release" { type = string }

provider "gossip" {
  address = var.agent
}

resource "gossip_join" "this" {
  peers = [var.peer]
}

resource "gossip_event" "deploy" {
  name       = "deploy"
  payload    = var.release
  depends_on = [gossip_join.this]
}

data "gossip_members" "web" {
  tags       = { role = "web" }
  depends_on = [gossip_join.this]
}

output "web" {
  value = data.gossip_members.web.names
}
