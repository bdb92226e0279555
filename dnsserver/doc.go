// Package dnsserver answers DNS queries from memory, for names derived from the members of a cluster. It is
// authoritative only: it never recurses, and refuses what is outside its zone. What the names hold is the business
// of package zone; where the zone comes from is the business of whoever starts the Server. This package speaks the
// protocol: messages in, messages out, over UDP and TCP.
//
// It is cut in two. The responder turns the bytes of a query into the bytes of a reply, without sockets and without
// state, so that it can be tested and fuzzed as a function. The Server owns sockets and goroutines and feeds it.
package dnsserver
