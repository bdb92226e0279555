# What the module makes of its variables. The provider is mocked: no agent is needed.

mock_provider "gossip" {
  mock_data "gossip_service" {
    defaults = {
      endpoints = ["10.0.0.1:8080", "10.0.0.2:8080"]
      addresses = ["10.0.0.1", "10.0.0.2"]
      total     = 2
      digest    = "d1"
      by_node = {
        web-1 = { node = "web-1", address = "10.0.0.1", port = 8080, endpoint = "10.0.0.1:8080", weight = 100, priority = 0, draining = false, tags = {} }
      }
    }
  }
}

run "defaults" {
  command = apply

  variables {
    services = { web = 2 }
  }

  assert {
    condition     = data.gossip_service.this["web"].wait.min == 2
    error_message = "the wait is not what was asked for"
  }

  assert {
    condition     = output.endpoints["web"][1] == "10.0.0.2:8080" && output.addresses["web"][0] == "10.0.0.1"
    error_message = "the outputs are not those of the service"
  }

  assert {
    condition     = output.instances["web"]["web-1"].port == 8080
    error_message = "the instances are not those of the service"
  }
}

run "none" {
  command = plan

  variables {
    services = {}
  }

  expect_failures = [var.services]
}

run "half_an_instance" {
  command = plan

  variables {
    services = { web = 0.5 }
  }

  expect_failures = [var.services]
}
