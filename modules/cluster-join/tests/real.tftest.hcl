# The module against a real agent, which the environment names: GOSSIP_RPC_ADDR is the agent's RPC address, and
# TF_VAR_peers the gossip address of another one.

run "joins" {
  command = apply

  assert {
    condition     = output.contacted >= 1 && length(output.members) >= 2
    error_message = "the agent joined nobody"
  }

  assert {
    condition     = contains(output.members, output.node)
    error_message = "the agent is not one of the members"
  }
}

run "stays_joined" {
  command = plan

  variables {
    timeout = "3m"
  }

  assert {
    condition     = gossip_join.this.joined && gossip_join.this.contacted >= 1
    error_message = "a change of no consequence would join again"
  }
}
