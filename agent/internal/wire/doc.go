// Package wire is Serf's gossip messages as plain Go values, and their bytes: one type byte and one msgpack
// value (Serf reference 1.3 to 1.7). Encoding gives exactly the bytes that a Serf agent gives for the same
// values, with map keys sorted; decoding is as lenient as Serf's, never panics and never allocates more than a
// small multiple of its input, because anyone on the network may have written that input.
//
// The package has no state and does no I/O. It stands below state (what messages mean) and gossip (how they
// travel), and imports only package lamport.
package wire
