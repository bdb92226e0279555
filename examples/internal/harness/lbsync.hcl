source "gossip" {
  address = "{{.RPC}}"
}
