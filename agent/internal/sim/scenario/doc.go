// Package scenario tells stories of clusters, line by line, and checks what must be true in all of them. It
// knows neither simulator: package sim runs a story with models of memberlist, package simnet with memberlist
// itself.
//
// A story is text. Empty lines and what follows a # are skipped. Agents are numbered from 1; "3-5" is three of them.
//
//	start 40 stagger=50ms        agents 1 to 40 start in turn; each joins through those before it
//	run 10s                      time passes
//	partition 1-20 21-40         nothing passes between the groups
//	heal                         all partitions end
//	loss 10%                     of all packets; "loss 7 30%" of those of agent 7
//	duplicate 5%                 of all packets arrive twice
//	freeze 7 20s                 agent 7 stands still
//	kill 3-5                     agents end without a word
//	leave 6                      an agent leaves in peace
//	restart 3                    an agent that ended starts anew under its name, and joins
//	event 2 deploy               agent 2 sends a user event
//	expect converge within 30s   all running agents know: those alive are those running
//	expect deploy within 5s      all running agents have had the user event
//	expect 3 failed within 20s   all running agents give agent 3 the status: alive, leaving, left, failed or none
//	expect steady                since the last "steady", nobody took a running agent for failed
//	steady                       from here on
//
// # What must be true in every story
//
// Checked after each line: an agent's revisions and Lamport times never fall; a snapshot, once published, never
// changes; a user event reaches an agent at most once in its life; who has left is not seen alive again unless
// it has started again.
package scenario
