// Package gossip puts Serf's messages on memberlist: it is the only package that imports memberlist. What
// memberlist hears is decoded, copied and posted to an inbox that never blocks; what the core wants sent is
// queued, sent or asked for here. It decides nothing: all rules live in package state.
package gossip
