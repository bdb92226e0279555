# The module against real agents, one of which the environment names as GOSSIP_RPC_ADDR: with the tag wave=canary or wave=rest,
# and a handler of the query release that answers "v1".

run "deploys" {
  command = apply

  variables {
    release = "v1"
    waves   = ["canary", "rest"]
  }

  assert {
    condition     = length(output.approved["canary"]) == 1 && length(output.approved["rest"]) == 1
    error_message = "a wave was not approved by its member"
  }
}
