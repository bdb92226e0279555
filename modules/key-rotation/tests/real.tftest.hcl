# The module against a real agent with encryption, which the environment names as GOSSIP_RPC_ADDR. The test leaves the key that
# it installed in use, and so cannot clean up after itself: it is for clusters that are thrown away.

run "first" {
  command = apply

  variables {
    key         = "AAECAwQFBgcICQoLDA0ODw=="
    key_version = "1"
  }

  assert {
    condition     = output.complete
    error_message = "not every node has the key"
  }
}

run "again" {
  command = apply

  variables {
    key         = "EBESExQVFhcYGRobHB0eHw=="
    key_version = "2"
  }

  assert {
    condition     = output.key_id != run.first.key_id
    error_message = "the key was not rotated"
  }
}
