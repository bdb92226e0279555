module github.com/seed-645ce708/gossip/dnsserver

go 1.26.0

require (
	github.com/dchest/siphash v1.2.3
	github.com/miekg/dns v1.1.73
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

require golang.org/x/sync v0.24.0 // indirect
