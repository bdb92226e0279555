package view

import "time"

// Confidence is how far an agent trusts its own view at one moment.
type Confidence struct {
	// Synced tells that the agent has heard from a cluster, or was not told to join one. Until then it knows
	// nothing of who is missing.
	Synced bool
	// Isolated tells that most likely this agent is cut off, rather than that everyone else failed.
	Isolated bool
	// Evidence says in words what speaks for Isolated; empty if nothing does.
	Evidence string
	// Stale tells that the members are what was known last, since whoever tells us of them cannot be reached. It never
	// holds in an agent, only in a copy of an agent's view.
	Stale bool
	// LastContact is when any other member was last heard of first-hand; zero means never.
	LastContact time.Time
	// VisibleShare is the share, above 0 up to 1, of the members seen alive in the last ten minutes, ourselves
	// included, that are alive now. Members that left do not count.
	VisibleShare float64
}

// Mark is what an agent has to say of one member beyond its record.
type Mark struct {
	// Since is when we saw the member take its present status, or when its suppression began; zero if it is
	// not known.
	Since time.Time
	// Reason says why, in words without a time.
	Reason string
	// Suppressed tells that the member is alive but flaps: it stays out of answers until Until, as things stand.
	Suppressed bool
	Until      time.Time
}

// Verdict is what a Judge says of a list of members.
type Verdict struct {
	Confidence Confidence
	Marks      map[string]Mark // not modified any more
}

// Judge says how far members can be trusted now. It is called by the store's writer, in the order of publication, and
// must be quick.
type Judge interface {
	Judge(members []*Member) Verdict
}
