module github.com/seed-645ce708/gossip/lbsync

go 1.26.0

require (
	github.com/hashicorp/hcl/v2 v2.25.0
	github.com/seed-645ce708/gossip/agent v0.0.0
	github.com/zclconf/go-cty v1.19.0
)

require (
	github.com/agext/levenshtein v1.2.1 // indirect
	github.com/apparentlymart/go-textseg/v15 v15.0.0 // indirect
	github.com/apparentlymart/go-textseg/v17 v17.0.1 // indirect
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	github.com/mitchellh/go-wordwrap v1.0.1 // indirect
	golang.org/x/mod v0.38.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	golang.org/x/tools v0.48.0 // indirect
)

replace (
	github.com/seed-645ce708/gossip/agent => ../agent
	github.com/seed-645ce708/gossip/dnsserver => ../dnsserver
)
