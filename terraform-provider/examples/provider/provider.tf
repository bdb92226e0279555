terraform {
  required_providers {
    gossip = {
      source = "seed-645ce708/gossip"
    }
  }
}

# The agent on this machine, with its token from GOSSIP_RPC_AUTH. Other machines are reached through
# `ssh -L 7373:127.0.0.1:7373 HOST`.
provider "gossip" {
  address = "127.0.0.1:7373"
}
