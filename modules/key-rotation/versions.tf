terraform {
  required_version = ">= 1.11"

  required_providers {
    gossip = {
      source  = "seed-645ce708/gossip"
      version = ">= 0.0.1"
    }
  }
}
