# An agent whose zone others may take, if they have the key.
dns_addr      = "127.0.0.1:8600"
dns_tsig_keys = "tsig.key"
dns_transfer  = ["127.0.0.0/8 key=secondary"]
dns_notify    = ["127.0.0.1:5300 key=secondary"]
