// Package simnet is a network in memory on which the real engine runs in tests: memberlist's transport, with latency,
// loss, duplication, partitions and agents that stand still. Made for bubbles of testing/synctest, where all that
// takes time takes virtual time. Unlike package sim it does not repeat a run: memberlist's goroutines race.
//
// # What is true of it
//
// Packets are copied, so that agents share nothing by accident. Groups are compared when a packet is sent and again
// when it arrives. Queues are bounded and count what they drop. Connecting takes a round trip; a host without an
// agent refuses, and from a cut network nothing comes back until the time-out, both as a *net.OpError of op "dial",
// by which memberlist knows a peer's failure from its own. Streams are buffered in both directions.
//
// An agent that is frozen goes on computing, since a goroutine cannot be stopped, but nothing reaches it, and
// nothing that it sends leaves it, before the freeze is over.
package simnet
