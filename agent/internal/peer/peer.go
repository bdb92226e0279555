package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"

	"github.com/seed-645ce708/gossip/agent/internal/rate"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// MaxPacket is the longest request or answer, in bytes, that is sent by UDP unless Options.Length says otherwise: it
// passes wherever gossip does.
const MaxPacket = 1200

// Bounds of what an agent does for others, and of what it asks at a time.
const (
	queueDepth  = 256  // requests that wait to be answered
	answerers   = 2    // requests that are being answered
	streams     = 4    // answers that are being sent by TCP
	inFlight    = 64   // requests of ours that wait for their answers
	allRate     = 2000 // answers a second to all
	allBurst    = 1000
	oneRate     = 200 // answers a second to one member
	oneBurst    = 200
	maxAskers   = 4096 // members whose rate is remembered
	defaultWait = 300 * time.Millisecond
	defaultTry  = 3
)

var (
	// ErrUnknownMember tells that no member has the name.
	ErrUnknownMember = errors.New("no such member")
	// ErrStock tells that the member cannot be asked, since it does not know our requests: a stock Serf agent.
	ErrStock = errors.New("the member runs Serf, which does not answer this")
	// ErrSilent tells that no answer came.
	ErrSilent = errors.New("no answer")
	// ErrUnknownKind tells that the member does not know requests of the kind: another version of the agent.
	ErrUnknownKind = errors.New("the member's version of the agent does not answer this")
	// ErrStopped tells that the agent is shutting down.
	ErrStopped = errors.New("the agent is shutting down")
)

// RefusedError is a member's refusal.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the member refused: " + e.Reason }

// Member is where a member is.
type Member struct {
	Addr netip.AddrPort
	Ours bool // understands requests
}

// Network carries messages.
type Network interface {
	// Send sends by UDP and does not wait.
	Send(to netip.AddrPort, node string, msg []byte) error
	// SendReliable sends by TCP and returns when all is written.
	SendReliable(to netip.AddrPort, node string, msg []byte) error
}

// Handler answers a request. The answer should not be longer than room bytes: the asker would have to ask again. The text of an
// error goes to the asker. It is called from a goroutine that others wait for, so it must be quick.
type Handler func(from string, body []byte, room int) ([]byte, error)

// Config sets up a Peer.
type Config struct {
	// Self is our name.
	Self string
	// Find returns a member by its name, whatever its status.
	Find func(name string) (Member, bool)
	Log  hclog.Logger
}

// Peer asks and answers. Safe for concurrent use.
type Peer struct {
	cfg      Config
	net      Network
	handlers map[uint8]Handler // not changed after Start
	queue    chan request
	slots    chan struct{} // one for each request of ours
	streams  chan struct{} // one for each answer by TCP
	stop     chan struct{}
	once     sync.Once
	running  sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	pending map[uint64]chan<- answer
	all     rate.Bucket
	each    map[string]*rate.Bucket
}

// request is one that waits to be answered.
type request struct {
	wire.Request
	length int // bytes of the whole message, which the answer must not exceed
}

type answer struct {
	wire.Answer
	at   time.Time
	size int // bytes of the whole message
}

// New returns a Peer that does nothing before Start.
func New(cfg Config) *Peer {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	return &Peer{
		cfg:      cfg,
		handlers: map[uint8]Handler{},
		queue:    make(chan request, queueDepth),
		slots:    make(chan struct{}, inFlight),
		streams:  make(chan struct{}, streams),
		stop:     make(chan struct{}),
		pending:  map[uint64]chan<- answer{},
		all:      rate.Bucket{PerSecond: allRate, Burst: allBurst},
		each:     map[string]*rate.Bucket{},
	}
}

// Handle makes h answer requests of the kind. It is called before Start.
func (p *Peer) Handle(kind uint8, h Handler) { p.handlers[kind] = h }

// Start begins to answer.
func (p *Peer) Start(net Network) {
	p.net = net
	for range answerers {
		p.running.Go(p.work)
	}
}

// Stop ends all that is asked and answered, and waits. An answer that is being sent by TCP ends with the network.
func (p *Peer) Stop() {
	p.once.Do(func() {
		p.mu.Lock()
		p.stopped = true
		p.mu.Unlock()
		close(p.stop)
	})
	p.running.Wait()
}

// Receive takes a message. It neither blocks nor keeps raw.
func (p *Peer) Receive(raw []byte) {
	if len(raw) == 0 {
		return
	}
	if wire.Type(raw[0]) == wire.TypeAnswer {
		a, err := wire.DecodeAnswer(raw)
		if err != nil {
			p.count("damaged")
			return
		}
		a.Body = append([]byte(nil), a.Body...)
		p.answered(answer{Answer: a, at: time.Now(), size: len(raw)})
		return
	}
	req, err := wire.DecodeRequest(raw)
	switch {
	case err != nil:
		p.count("damaged")
		return
	case !p.admit(time.Now(), req.From):
		p.count("refused")
		return
	}
	req.Body = append([]byte(nil), req.Body...)
	select {
	case p.queue <- request{req, len(raw)}:
	default:
		p.count("dropped")
	}
}

// admit reports whether a member may be given another answer.
func (p *Peer) admit(now time.Time, from string) bool {
	if m, ok := p.cfg.Find(from); !ok || !m.Ours {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.each[from]
	if one == nil {
		if len(p.each) >= maxAskers {
			clear(p.each)
		}
		one = &rate.Bucket{PerSecond: oneRate, Burst: oneBurst}
		p.each[from] = one
	}
	return one.Take(now, 1) && p.all.Take(now, 1)
}

func (p *Peer) answered(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch, ok := p.pending[a.ID]
	if !ok {
		return // late, or not asked for
	}
	select {
	case ch <- a:
	default: // an earlier try was answered too
	}
}

func (p *Peer) count(what string) { metrics.IncrCounter([]string{"gossip", "peer", what}, 1) }

// work answers requests until Stop.
func (p *Peer) work() {
	for {
		select {
		case req := <-p.queue:
			p.answer(req)
		case <-p.stop:
			return
		}
	}
}

func (p *Peer) answer(req request) {
	to, ok := p.cfg.Find(req.From)
	if !ok {
		return // forgotten meanwhile
	}
	a := p.reply(req)
	pad := 0
	if req.Flags&wire.FlagSameLength != 0 {
		pad = req.length
	}
	msg := a.Encode(pad)
	if len(msg) > req.length {
		p.count("dropped") // only an asker who leaves no room for an error gets here
		return
	}
	if req.Flags&wire.FlagByStream == 0 {
		p.sent(req.From, p.net.Send(to.Addr, req.From, msg))
		return
	}
	select {
	case p.streams <- struct{}{}:
	default:
		p.count("dropped")
		return
	}
	if !p.spawn(func() {
		defer func() { <-p.streams }()
		p.sent(req.From, p.net.SendReliable(to.Addr, req.From, msg))
	}) {
		<-p.streams
	}
}

func (p *Peer) sent(to string, err error) {
	if err != nil {
		p.cfg.Log.Debug("cannot answer a member", "node", to, "err", err)
		return
	}
	p.count("answered")
}

// reply asks the handler.
func (p *Peer) reply(req request) wire.Answer {
	a := wire.Answer{ID: req.ID, From: p.cfg.Self}
	h, ok := p.handlers[req.Kind]
	if !ok {
		a.Status = wire.StatusUnknownKind
		return a
	}
	overhead := wire.DirectOverhead + len(p.cfg.Self)
	room := max(0, req.length-overhead)
	body, err := h(req.From, req.Body, room)
	switch {
	case err != nil:
		a.Status = wire.StatusRefused
		a.Body = []byte(err.Error())
		a.Body = a.Body[:min(len(a.Body), room)]
	case len(body) > room:
		a.Status = wire.StatusTooLong
		a.Body = binary.AppendUvarint(nil, uint64(len(body)+overhead))
	default:
		a.Body = body
	}
	return a
}

// spawn runs f in a goroutine that Stop waits for, unless Stop has begun.
func (p *Peer) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.running.Go(f)
	return true
}

// Options say how to ask. The zero value is by UDP, three times within two seconds.
type Options struct {
	// Wait is how long to wait for the answer to the first try; each further one waits twice as long. 0 means 300 ms.
	Wait time.Duration
	// Tries is how often to send the request; 0 means three times.
	Tries int
	// Length pads the request, and so makes room for the answer; 0 means 256 bytes, and more if the answer turns out to
	// need it, up to MaxPacket.
	Length int
	// ByStream sends the request by TCP; AnswerByStream asks for the answer by TCP.
	ByStream, AnswerByStream bool
	// SameLength asks for an answer as long as the request.
	SameLength bool
}

const defaultLength = 256

// Reply is an answer.
type Reply struct {
	Body []byte
	Sent time.Time // of the try that was answered, as far as we can tell: the last one
	Came time.Time
	Size int // bytes of the whole answer
}

// Ask asks a member, or ourselves, and waits for the answer, at most until ctx ends. It returns ErrUnknownMember, ErrStock, ErrSilent,
// ErrUnknownKind, ErrStopped, a *RefusedError, or what went wrong when sending.
func (p *Peer) Ask(ctx context.Context, name string, kind uint8, body []byte, o Options) (Reply, error) {
	if name == p.cfg.Self {
		return p.askSelf(kind, body)
	}
	m, ok := p.cfg.Find(name)
	switch {
	case !ok:
		return Reply{}, ErrUnknownMember
	case !m.Ours:
		return Reply{}, ErrStock
	}
	grow := o.Length == 0
	if grow {
		o.Length = defaultLength
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
	case <-p.stop:
		return Reply{}, ErrStopped
	}
	a, r, err := p.exchange(ctx, m, name, kind, body, o)
	if need, n := binary.Uvarint(a.Body); err == nil && grow && a.Status == wire.StatusTooLong && n > 0 && need <= MaxPacket {
		o.Length = int(need)
		a, r, err = p.exchange(ctx, m, name, kind, body, o)
	}
	if err != nil {
		return r, err
	}
	switch a.Status {
	case wire.StatusDone:
		return r, nil
	case wire.StatusUnknownKind:
		return r, ErrUnknownKind
	case wire.StatusTooLong:
		return r, &RefusedError{"the answer is too long"}
	default:
		return r, &RefusedError{string(a.Body)}
	}
}

func (p *Peer) askSelf(kind uint8, body []byte) (Reply, error) {
	h, ok := p.handlers[kind]
	if !ok {
		return Reply{}, ErrUnknownKind
	}
	sent := time.Now()
	out, err := h(p.cfg.Self, body, MaxPacket-wire.DirectOverhead-len(p.cfg.Self))
	if err != nil {
		return Reply{}, &RefusedError{err.Error()}
	}
	return Reply{Body: out, Sent: sent, Came: time.Now(), Size: len(out)}, nil
}

// exchange sends a request until it is answered.
func (p *Peer) exchange(ctx context.Context, m Member, name string, kind uint8, body []byte, o Options) (wire.Answer, Reply, error) {
	req := wire.Request{ID: newID(), Kind: kind, From: p.cfg.Self, Body: body}
	if o.AnswerByStream {
		req.Flags |= wire.FlagByStream
	}
	if o.SameLength {
		req.Flags |= wire.FlagSameLength
	}
	msg := req.Encode(o.Length)
	came := make(chan answer, 1)
	p.mu.Lock()
	p.pending[req.ID] = came
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pending, req.ID)
		p.mu.Unlock()
	}()

	wait, tries := o.Wait, o.Tries
	if wait <= 0 {
		wait = defaultWait
	}
	if tries <= 0 {
		tries = defaultTry
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for range tries {
		sent := time.Now()
		if err := p.send(ctx, m, name, msg, o.ByStream); err != nil {
			return wire.Answer{}, Reply{Sent: sent}, err
		}
		p.count("asked")
		timer.Reset(wait)
		wait *= 2
		select {
		case a := <-came:
			return a.Answer, Reply{Body: a.Body, Sent: sent, Came: a.at, Size: a.size}, nil
		case <-timer.C:
		case <-ctx.Done():
			return wire.Answer{}, Reply{}, fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
		case <-p.stop:
			return wire.Answer{}, Reply{}, ErrStopped
		}
	}
	p.count("unanswered")
	return wire.Answer{}, Reply{}, ErrSilent
}

// send does not wait for TCP longer than ctx.
func (p *Peer) send(ctx context.Context, m Member, name string, msg []byte, byStream bool) error {
	if !byStream {
		return p.net.Send(m.Addr, name, msg)
	}
	done := make(chan error, 1)
	if !p.spawn(func() { done <- p.net.SendReliable(m.Addr, name, msg) }) {
		return ErrStopped
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stop:
		return ErrStopped
	}
}

func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
