module github.com/seed-645ce708/gossip/examples

go 1.26.0

require github.com/seed-645ce708/gossip/agent v0.0.0

replace (
	github.com/seed-645ce708/gossip/agent => ../agent
	github.com/seed-645ce708/gossip/dnsserver => ../dnsserver
)
