// Package peer lets one agent of ours ask another: requests and answers (package wire) that go straight to a member,
// past the state machine. It knows neither the network nor what is asked: package gossip carries the messages, and the
// root package registers who answers which kind of request.
//
// # What an outsider can do with it
//
// Without encryption anybody can send us a packet in anybody's name. So an answer goes to the address under which we know
// the member that the request names, never to one that the packet tells; it is never longer than the request; each
// asker, and all of them together, get a bounded number of answers a second; what waits is bounded, and the rest is dropped and
// counted. Answers are told from forgeries by a random ID of 64 bits.
package peer
