# What the module makes of its variables. The provider is mocked: no agent is needed.

mock_provider "gossip" {
  mock_resource "gossip_event" {
    defaults = {
      approved = ["web-1", "web-2"]
    }
  }
}

run "two_waves" {
  command = apply

  variables {
    release     = "v42"
    waves       = ["canary", "rest"]
    filter_tags = { role = "web" }
    min_percent = 50
  }

  assert {
    condition     = gossip_event.wave_1[0].payload == "v42 wave=canary" && gossip_event.wave_2[0].payload == "v42 wave=rest"
    error_message = "the payloads are not those of the waves"
  }

  assert {
    condition     = gossip_event.wave_2[0].gate.filter_tags == tomap({ role = "web", wave = "rest" }) && gossip_event.wave_2[0].gate.min_percent == 50
    error_message = "the gate is not that of the wave"
  }

  assert {
    condition     = gossip_event.wave_1[0].gate.expect == "v42" && length(gossip_event.wave_3) == 0
    error_message = "the gate expects another release, or there is a third wave"
  }

  assert {
    condition     = output.release == "v42" && length(output.approved) == 2 && output.approved["rest"][1] == "web-2"
    error_message = "the outputs are not those of the waves"
  }
}

run "too_many" {
  command = plan

  variables {
    release = "v42"
    waves   = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
  }

  expect_failures = [var.waves]
}

run "twice" {
  command = plan

  variables {
    release = "v42"
    waves   = ["a", "a"]
  }

  expect_failures = [var.waves]
}

run "spaces" {
  command = plan

  variables {
    release = "v 42"
    waves   = ["a"]
  }

  expect_failures = [var.release]
}
