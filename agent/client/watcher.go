package client

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
)

// The defaults of WatcherConfig.
const (
	DefaultResync     = 30 * time.Second
	DefaultMinBackoff = 200 * time.Millisecond
	DefaultMaxBackoff = 10 * time.Second
)

// maxPause bounds how long a Watcher rests between two lists of members. It rests as long as a list takes, or a
// multiple of it, so that following a large cluster in turmoil costs the agent half of one connection's time at most.
const maxPause = time.Second

// memberEvents is what a Watcher subscribes to at an agent that does not know api.FilterRevision.
const memberEvents = "member-join,member-leave,member-failed,member-update,member-reap"

// WatcherConfig configures a Watcher. The zero value follows the agent at api.DefaultAddr.
type WatcherConfig struct {
	Client Config
	// Resync is how often the members are listed even if no event came; 0 means DefaultResync. It bounds how long an
	// agent that no longer answers goes unnoticed, too.
	Resync time.Duration
	// MinBackoff and MaxBackoff bound the pause before the next attempt to connect, which doubles with each failure
	// and is shortened by up to a half at random. 0 means the defaults.
	MinBackoff, MaxBackoff time.Duration
	// Rest is how many times as long as a list of the members took the Watcher rests before the next; 0 means 1. More
	// saves both sides work while a large cluster is in turmoil.
	Rest int
	// Logger gets a line for each connection that comes and goes, and for each new reason why there is none. Optional.
	Logger *slog.Logger
}

// View is what a Watcher knows at one moment. It is immutable: nobody may modify Members or what is in there.
type View struct {
	// Members are those of the last list, of every status and sorted by name. While Connected is false they are
	// what was true last; before the first list they are nil.
	Members []api.Member
	// Connected tells that a connection is up and Members were listed on it.
	Connected bool
	Since     time.Time // when this connection was made, or the last one was lost
	Updated   time.Time // when Members were listed; zero before the first list
	Err       error     // while not connected: why, if an attempt was made
	// Confidence is how far the agent trusted its list; nil if it does not say, as stock Serf agents do not. It counts
	// for a Connected view only.
	Confidence *api.Confidence
	// Node is the name of the agent's own member; empty before the first list, and if the agent does not tell.
	Node string
	// Rev counts the views of this Watcher. A list that brings nothing new moves Updated but not Rev, and an attempt
	// to connect that fails like the one before moves neither.
	Rev uint64
}

// Steady returns the members as whoever sends them traffic should see them: those that are alive but damped, since they
// come and go, are shown as failed. Like Members it must not be modified.
func (v View) Steady() []api.Member {
	damped := func(m api.Member) bool { return m.Damped && m.Status == "alive" }
	if !slices.ContainsFunc(v.Members, damped) {
		return v.Members
	}
	members := slices.Clone(v.Members)
	for i := range members {
		if damped(members[i]) {
			members[i].Status = "failed"
		}
	}
	return members
}

// Watcher follows the member list of one agent: it lists members, listens for changes, lists again, and connects anew
// when the connection is gone. The list is the truth and events only make it hurry, so that a lost or late event
// costs time and never correctness. A gossip agent's changes show at once, a stock Serf agent's after the second or
// more for which it holds back member events.
type Watcher struct {
	cfg WatcherConfig

	mu      sync.Mutex
	running bool
	view    View
	changed chan struct{} // closed when view is replaced by one of a higher Rev
}

// NewWatcher returns a Watcher that does nothing before Run.
func NewWatcher(cfg WatcherConfig) *Watcher {
	if cfg.Resync <= 0 {
		cfg.Resync = DefaultResync
	}
	if cfg.MinBackoff <= 0 {
		cfg.MinBackoff = DefaultMinBackoff
	}
	if cfg.MaxBackoff <= 0 {
		cfg.MaxBackoff = DefaultMaxBackoff
	}
	cfg.MaxBackoff = max(cfg.MaxBackoff, cfg.MinBackoff)
	cfg.Rest = max(cfg.Rest, 1)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, changed: make(chan struct{})}
}

// Watch returns the newest view and a channel that is closed when one of a higher Rev exists.
func (w *Watcher) Watch() (View, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view, w.changed
}

// Run follows the agent until ctx ends and returns ctx's error. All goroutines of the Watcher live within it. It can
// be called once only.
func (w *Watcher) Run(ctx context.Context) error {
	w.mu.Lock()
	again := w.running
	w.running = true
	w.mu.Unlock()
	if again {
		return errors.New("client: the watcher runs already, or did")
	}
	backoff := w.cfg.MinBackoff
	for {
		listed, err := w.follow(ctx)
		if ctx.Err() != nil {
			w.disconnected(ctx.Err())
			return ctx.Err()
		}
		if w.disconnected(err) {
			w.cfg.Logger.Warn("not connected to the agent", "addr", w.cfg.Client.Addr, "error", err)
		}
		if listed {
			backoff = w.cfg.MinBackoff
		}
		pause := backoff - rand.N(backoff/2+1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, w.cfg.MaxBackoff)
	}
}

// follow connects and publishes views until the connection fails or ctx ends. listed tells that there was one.
func (w *Watcher) follow(ctx context.Context) (listed bool, err error) {
	c, err := Dial(ctx, w.cfg.Client)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // it never fails
	// Subscribing comes first: whatever happens after the list is then told.
	events, err := subscribeMembers(ctx, c)
	if err != nil {
		return false, err
	}
	node, err := self(ctx, c)
	if err != nil {
		return false, err
	}
	since := time.Now()
	resync := time.NewTimer(w.cfg.Resync)
	defer resync.Stop()
	for {
		start := time.Now()
		var members members
		if err := c.call(ctx, api.CommandMembers, nil, &members); err != nil {
			return listed, err
		}
		if !listed {
			w.cfg.Logger.Info("connected to the agent", "addr", w.cfg.Client.Addr, "members", len(members.list))
		}
		listed = true
		w.publish(members, node, since)

		resync.Reset(w.cfg.Resync)
		select {
		case <-time.After(min(time.Duration(w.cfg.Rest)*time.Since(start), maxPause)):
		case <-ctx.Done():
			return listed, ctx.Err()
		}
		select {
		case _, ok := <-events.C():
			if !ok {
				return listed, events.Err()
			}
			if err := drain(events); err != nil {
				return listed, err
			}
		case <-resync.C:
		case <-ctx.Done():
			return listed, ctx.Err()
		}
	}
}

// self asks for the name of the agent's own member. An agent that refuses to tell its figures is followed without.
func self(ctx context.Context, c *Client) (string, error) {
	stats, err := c.Stats(ctx)
	if refused := (*RemoteError)(nil); errors.As(err, &refused) {
		return "", nil
	}
	return stats["agent"]["name"], err
}

// subscribeMembers asks for revisions, or at stock Serf for member events.
func subscribeMembers(ctx context.Context, c *Client) (*EventStream, error) {
	events, err := c.Stream(ctx, api.FilterRevision)
	if errors.Is(err, api.ErrInvalidFilter) {
		return c.Stream(ctx, memberEvents)
	}
	return events, err
}

// drain takes what waits in the stream: one list answers all of it.
func drain(events *EventStream) error {
	for {
		select {
		case _, ok := <-events.C():
			if !ok {
				return events.Err()
			}
		default:
			return nil
		}
	}
}

func (w *Watcher) publish(news members, node string, since time.Time) {
	members := news.list
	sort.Slice(members, func(i, j int) bool { return members[i].Name < members[j].Name })
	w.mu.Lock()
	defer w.mu.Unlock()
	next := View{Members: members, Connected: true, Since: since, Updated: time.Now(), Confidence: news.confidence, Node: node, Rev: w.view.Rev}
	if w.view.Connected && w.view.Node == node && sameConfidence(w.view.Confidence, news.confidence) && slices.EqualFunc(w.view.Members, members, sameMember) {
		next.Members = w.view.Members // readers may compare by identity
		w.view = next
		return
	}
	w.replace(next)
}

// sameConfidence compares what makes a difference to readers.
func sameConfidence(a, b *api.Confidence) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// sameMember compares all fields.
func sameMember(a, b api.Member) bool {
	return a.Name == b.Name && a.Addr.Equal(b.Addr) && a.Port == b.Port && a.Status == b.Status &&
		a.ProtocolMin == b.ProtocolMin && a.ProtocolMax == b.ProtocolMax && a.ProtocolCur == b.ProtocolCur &&
		a.Damped == b.Damped && a.Note == b.Note && a.Since == b.Since && a.Until == b.Until &&
		a.DelegateMin == b.DelegateMin && a.DelegateMax == b.DelegateMax && a.DelegateCur == b.DelegateCur &&
		maps.Equal(a.Tags, b.Tags)
}

// disconnected keeps the members and tells why there are no newer ones. It returns whether that is news.
func (w *Watcher) disconnected(err error) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.view
	if next.Connected {
		next.Since = time.Now()
	}
	next.Connected, next.Err = false, err
	if !w.view.Connected && w.view.Err != nil && w.view.Err.Error() == err.Error() {
		w.view = next
		return false
	}
	w.replace(next)
	return true
}

// replace makes next the newest view and wakes the readers. The caller holds mu.
func (w *Watcher) replace(next View) {
	next.Rev = w.view.Rev + 1
	w.view = next
	close(w.changed)
	w.changed = make(chan struct{})
}
