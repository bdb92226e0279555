// Package state is Serf's protocol as a pure function: an input and the time go in, the state changes, and
// effects come out (Serf reference 2). It holds the three Lamport clocks, the member table, recent intents, and
// the rings that recognise user events and queries already seen.
//
// # Contract
//
// A State is owned by one goroutine (package core), which feeds it inputs one at a time with [State.Step] and
// carries out the returned effects in order, outside any lock. The package starts no goroutine, does no I/O,
// reads no clock, takes no lock and draws randomness only from [Config].Rand: the same inputs at the same times
// give the same effects. Time never runs backwards between calls.
//
// Step returns an error only for a local request that is refused ([UserEvent], [Query], [Respond], [Joined],
// [LeaveBegin], [LocalTags]); then nothing changed. Nothing that a peer sends is an error: what is old,
// duplicate or damaged is dropped, with a [Log] effect where Serf logs one.
//
// Everything that depends on time (reaper, reconnector, ends of queries, delayed prune) happens in a
// [Tick]. [State.Next] tells when one is worth while; an extra Tick is harmless.
//
// # Ownership
//
// Inputs belong to the State from Step on and must not be modified afterwards; this holds for the byte slices
// in them too. Effects, Members and LocalState belong to everyone and are never modified again.
package state
