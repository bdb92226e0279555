# What the module makes of its variables. The provider is mocked: no agent is needed.

mock_provider "gossip" {
  mock_resource "gossip_key" {
    defaults = {
      key_id   = "31326cd8db972390f0a41fe9354e3830"
      complete = true
    }
  }
}

run "given" {
  command = apply

  variables {
    key         = "AAECAwQFBgcICQoLDA0ODw=="
    key_version = "1"
    timeout     = "2m"
  }

  assert {
    condition     = gossip_key.this.require_all && gossip_key.this.timeouts.create == "2m" && gossip_primary_key.this.timeouts.update == "2m"
    error_message = "the settings are not what was asked for"
  }

  assert {
    condition     = output.key_id == "31326cd8db972390f0a41fe9354e3830" && output.complete
    error_message = "the outputs are not those of the key"
  }
}

run "not_every_node" {
  command = plan

  variables {
    key         = "AAECAwQFBgcICQoLDA0ODw=="
    key_version = "1"
    require_all = false
  }

  assert {
    condition     = !gossip_key.this.require_all
    error_message = "every node is required"
  }
}
