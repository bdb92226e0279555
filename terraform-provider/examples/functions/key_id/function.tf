output "key_id" {
  value = provider::gossip::key_id("AAECAwQFBgcICQoLDA0ODw==")
}
