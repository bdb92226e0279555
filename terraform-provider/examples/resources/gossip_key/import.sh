terraform import gossip_key.this 31326cd8db972390f0a41fe9354e3830 # a fingerprint, from the data source gossip_keyring
