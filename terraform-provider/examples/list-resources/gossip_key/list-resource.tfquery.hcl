list "gossip_key" "all" {
  provider = gossip
}
