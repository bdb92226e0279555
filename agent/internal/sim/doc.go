// Package sim simulates clusters of agents in one process: the state machines of package state, a model of what
// memberlist does around them, and a network that delays, loses, repeats and cuts, all driven by one queue of
// events with a clock of its own. There is no goroutine, no real clock and one source of randomness, so a seed
// repeats a run to the last bit, and minutes of a thousand agents take seconds.
//
// # What is real and what is modelled
//
// The Serf layer is the code of the product: each agent is a [state.State] that is fed messages in their wire
// form. Beneath it, probes, suspicion, gossip queues, push/pulls and joins follow memberlist 0.7 rule by rule,
// but are written anew on compact tables, since memberlist brings goroutines and timers of its own (package
// simnet runs the original, for tens of agents). Sizes of packets are computed from memberlist's encoding.
//
// A state machine takes some 260 bytes for each member it knows, which for ten thousand agents that know each
// other is 26 GB. Beyond [Config].Machines agents the others are compact models of the same rules, five
// bytes a member, without queries and tags. Tests hold both to the same decisions, message by message.
//
// # What is left out
//
// Time that agents take to compute, bandwidth and queues of the network, compression and encryption, tags that
// change, names that collide, and network coordinates beyond their bytes in acknowledgements.
package sim
