// Package mirror fills a view.Store from somewhere else than gossip: from an agent, ours or stock Serf, over RPC, or from
// a file that 'gossip members -format json' wrote. With it whatever reads views, DNS above all, runs where no agent does.
//
// What an agent of ours says of its own view travels along, and so do members that it damps. For a stock Serf agent,
// which says nothing, the judgement is made here with package trust: members that vanish in a burst are doubted, those
// that come and go are damped.
//
// While the agent cannot be reached its members stay what they were, and count as stale. After a limit they are not to be
// used any more: Ready tells. An agent that is reached again may have just started, so for a while the absence of a
// member counts for nothing.
package mirror
