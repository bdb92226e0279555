# What the module makes of its variables. The provider is mocked: no agent is needed.

mock_provider "gossip" {
  mock_resource "gossip_join" {
    defaults = {
      node      = "n1"
      contacted = 2
      joined    = true
    }
  }

  mock_data "gossip_members" {
    defaults = {
      names     = ["n1", "n2", "n3"]
      endpoints = ["10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"]
      total     = 3
      digest    = "d1"
    }
  }
}

run "defaults" {
  command = apply

  variables {
    peers = ["10.0.0.2:7946", "10.0.0.3"]
  }

  assert {
    condition     = gossip_join.this.wait.min == 2 && gossip_join.this.min_contacted == 1 && !gossip_join.this.replay_events
    error_message = "the defaults are not those of variables.tf"
  }

  assert {
    condition     = gossip_join.this.on_destroy == "none"
    error_message = "destroying the module must leave the agent where it is"
  }

  assert {
    condition     = output.node == "n1" && output.contacted == 2
    error_message = "the outputs are not those of the join"
  }

  assert {
    condition     = join(" ", output.members) == "n1 n2 n3" && output.endpoints[1] == "10.0.0.2:7946" && output.digest == "d1"
    error_message = "the outputs are not those of the members"
  }
}

run "settings" {
  command = plan

  variables {
    peers         = ["10.0.0.2"]
    min_members   = 5
    min_contacted = 3
    stable_for    = "10s"
    timeout       = "5m"
    replay_events = true
    triggers      = { boot = "2" }
  }

  assert {
    condition     = gossip_join.this.wait.min == 5 && gossip_join.this.wait.stable_for == "10s"
    error_message = "the wait is not what was asked for"
  }

  assert {
    condition     = gossip_join.this.timeouts.create == "5m" && gossip_join.this.timeouts.update == "5m"
    error_message = "the timeout is not what was asked for"
  }

  assert {
    condition     = gossip_join.this.min_contacted == 3 && gossip_join.this.replay_events && gossip_join.this.triggers.boot == "2"
    error_message = "the join is not what was asked for"
  }
}

run "no_peers" {
  command = plan

  variables {
    peers = []
  }

  expect_failures = [var.peers]
}

run "no_cluster" {
  command = plan

  variables {
    peers       = ["10.0.0.2"]
    min_members = 1
  }

  expect_failures = [var.min_members]
}
