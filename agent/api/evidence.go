package api

import "time"

// Commands beyond Serf's. A stock Serf agent refuses them with ErrUnsupportedCommand and hangs up.
const (
	// CommandEventReceipts fires a user event and waits until it is known what became of it: EventReceiptsRequest,
	// EventReceiptsResponse.
	CommandEventReceipts = "x-gossip-event"
	// CommandWhy tells what happened to a member: WhyRequest, WhyResponse.
	CommandWhy = "x-gossip-why"
	// CommandDoctor tests the network between the agent and others: DoctorRequest, DoctorResponse.
	CommandDoctor = "x-gossip-doctor"
)

// EventReceiptsRequest fires a user event and asks for receipts.
type EventReceiptsRequest struct {
	Name     string
	Payload  []byte
	Coalesce bool
	// Wait is how long to wait for receipts at most; 0 means 10 s, and more than MaxReceiptWait that.
	Wait time.Duration
}

// MaxReceiptWait is the longest that an agent waits for receipts.
const MaxReceiptWait = 10 * time.Minute

// EventReceiptsResponse is what became of a user event.
type EventReceiptsResponse struct {
	LTime uint64 // the event's Lamport time
	// OK: every member that was alive when the event was sent, and still is, and can give receipts, got the event, and
	// all handlers that ran for it went well.
	OK       bool
	Took     time.Duration
	Receipts []EventReceipt // of the members that were alive when the event was sent, sorted by name
}

// The values of EventReceipt.Status.
const (
	ReceiptOK         = "ok"         // got it, and all handlers went well
	ReceiptNoHandler  = "no-handler" // got it, and has no handler for it
	ReceiptSuperseded = "superseded" // got it, but a newer event of the name took its place before the handlers
	ReceiptWaiting    = "waiting"    // got it, but it had not come to the handlers when the time was over
	ReceiptRunning    = "running"    // got it, but handlers were waiting or running when the time was over
	ReceiptFailed     = "failed"     // got it, but a handler failed or was not run
	ReceiptLost       = "lost"       // got it, but was too slow, so that no handler saw it
	ReceiptMissing    = "missing"    // had not got it when the time was over
	ReceiptSilent     = "silent"     // did not answer
	ReceiptGone       = "gone"       // left or failed meanwhile
	ReceiptUnknown    = "unknown"    // cannot tell: a stock Serf agent, or another version of ours
)

// EventReceipt is what became of a user event on one member.
type EventReceipt struct {
	Node     string
	Status   string        // one of the Receipt constants
	Took     time.Duration // from sending until that was known
	Handlers []HandlerRun
	More     int // further handlers, which did not fit the answer
}

// HandlerRun is one run of an event handler.
type HandlerRun struct {
	Command string // may be cut
	State   string // queued, running, ok, failed or dropped
	Exit    int    // exit code; -1 if it was killed
	Error   string // why it failed
	Took    time.Duration
}

// WhyRequest asks what happened to a member.
type WhyRequest struct {
	Node string
	All  bool // ask every agent of ours, not only this one
}

// WhyResponse is what agents remember of a member. Times are nanoseconds of the Unix time, by the clock of the agent that
// was asked, 0 if unknown.
type WhyResponse struct {
	Known  bool // there is such a member now
	Addr   string
	Status string
	Since  int64  // of the status, or of the damping
	Note   string // why it has the status, or is damped
	Damped bool   // it is alive but kept out of answers, since it comes and goes
	Until  int64  // when the damping ends, as things stand
	Serf   bool   // it runs stock Serf

	Witnesses []Witness
	Entries   []WhyEntry // in the order of time
	Dropped   int        // older entries of other agents, left out of the list
}

// Witness is an agent that was asked.
type Witness struct {
	Node  string
	Error string        // why it tells nothing; empty if it does
	Began int64         // from when on it has memory
	Flaps int           // how often the member came back from failed
	Skew  time.Duration // how far its clock is ahead; times of its entries are corrected by it
}

// WhyEntry is one thing that happened.
type WhyEntry struct {
	Time  int64
	By    string // the agent that saw it
	Kind  string // such as join, failed, probe-failed, suspect, refuted, leave-intent
	Text  string // details; may be empty
	LTime uint64 // Lamport time of an intent
	Count int    // how often it happened in a row
	Last  int64  // the last time of these
}

// DoctorRequest asks for a test of the network between the agent and a member, or every live one if Node is empty.
type DoctorRequest struct{ Node string }

// DoctorResponse is what the test found.
type DoctorResponse struct {
	Healthy bool      // there is no fault
	Verdict []string  // in words, the most important first
	Local   []Finding // about the agent itself
	Members []Diagnosis
	Took    time.Duration
}

// Diagnosis is what was found about one member.
type Diagnosis struct {
	Node     string
	Addr     string
	Status   string
	Serf     bool // it runs stock Serf, which can only be tested from outside
	Findings []Finding
}

// The values of Finding.Level.
const (
	LevelOK      = "ok"
	LevelWarn    = "warn"    // odd, or worth knowing
	LevelFault   = "fault"   // gossip does not work, or not well
	LevelUnknown = "unknown" // could not be found out
)

// Finding is the result of one check.
type Finding struct {
	Check  string // such as udp, tcp, size, clock, address, load, view, rpc, dns
	Level  string // one of the Level constants
	Text   string
	Remedy string // what to do about a warning or a fault
}
