# The module against a real agent, which the environment names: GOSSIP_RPC_ADDR is the agent's RPC address, and
# TF_VAR_services a service that it knows.

run "reads" {
  command = apply

  assert {
    condition     = length(output.endpoints) > 0 && alltrue([for e in values(output.endpoints) : length(e) > 0])
    error_message = "the service has no endpoint"
  }
}
