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

run "is_joined" {
  command = apply

  assert {
    condition     = output.digest == run.joins.digest && output.contacted == run.joins.contacted
    error_message = "a second apply joined again, or sees another cluster"
  }
}
