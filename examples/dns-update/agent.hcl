# An agent that keeps the names of its cluster below svc.example.com at another DNS server.
dns_addr          = "127.0.0.1:8600"
dns_tsig_keys     = "tsig.key"
dns_update_server = "127.0.0.1:5300"
dns_update_zone   = "example.com"
dns_update_name   = "svc.example.com"
dns_update_key    = "updater"
