package gossip

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
	"github.com/hashicorp/memberlist"
)

// border keeps clusters apart: it lets in what carries our cluster's name, memberlist's label, and nothing else. memberlist
// can do that too, but it logs each packet, and hangs up on a peer without telling it why. Outside, it is the transport
// that it stands before.
type border struct {
	memberlist.Transport
	cluster string
	squeeze bool
	log     hclog.Logger
	packets chan *memberlist.Packet
	streams chan net.Conn

	alive   context.Context // until Shutdown
	end     context.CancelFunc
	once    sync.Once
	running sync.WaitGroup
	err     error

	turnedAway atomic.Int64 // since the last line about it
	nextLine   atomic.Int64 // when to write the next, in Unix seconds
}

const (
	// labelType begins what carries a cluster's name, errorType a stream that says what is wrong.
	labelType, errorType = 244, 13
	// sniffTimeout is how long a stream may take to say whose it is, and to take our answer.
	sniffTimeout = 5 * time.Second
	// drainLimit bounds what is read of a stream that is turned away. To hang up on unread bytes would reset the
	// connection, and the peer might never read the reason.
	drainLimit = 32 << 20
	// lineInterval is the pause between two log lines about other clusters, in seconds.
	lineInterval = 60
)

// mismatch begins what a peer of another cluster is told.
const mismatch = "cluster mismatch: "

// newBorder returns the border of a cluster. With squeeze it compresses exchanges of state.
func newBorder(t memberlist.Transport, cluster string, squeeze bool, log hclog.Logger) *border {
	b := &border{
		Transport: t, cluster: cluster, squeeze: squeeze, log: log,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
	}
	b.alive, b.end = context.WithCancel(context.Background())
	b.running.Go(b.checkPackets)
	b.running.Go(b.checkStreams)
	return b
}

// PacketCh returns the packets of our cluster, without its name.
func (b *border) PacketCh() <-chan *memberlist.Packet { return b.packets }

// StreamCh returns the streams of our cluster, without its name.
func (b *border) StreamCh() <-chan net.Conn { return b.streams }

func (b *border) checkPackets() {
	for {
		select {
		case p := <-b.Transport.PacketCh():
			buf, cluster, err := memberlist.RemoveLabelHeaderFromPacket(p.Buf)
			if err != nil || cluster != b.cluster {
				b.turnAway(p.From, cluster)
				continue
			}
			p.Buf = buf
			select {
			case b.packets <- p:
			case <-b.alive.Done():
				return
			}
		case <-b.alive.Done():
			return
		}
	}
}

func (b *border) checkStreams() {
	for {
		select {
		case conn := <-b.Transport.StreamCh():
			b.running.Go(func() { b.checkStream(conn) })
		case <-b.alive.Done():
			return
		}
	}
}

func (b *border) checkStream(conn net.Conn) {
	// A connection that takes no deadline is closed by what follows.
	_ = conn.SetDeadline(time.Now().Add(sniffTimeout))
	unwatch := context.AfterFunc(b.alive, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // so that reads end
	defer unwatch()
	r := bufio.NewReader(conn)
	cluster, err := readLabel(r)
	if err != nil {
		_ = conn.Close() // whoever it was, it has said nothing of use
		return
	}
	if cluster != b.cluster {
		b.turnAway(conn.RemoteAddr(), cluster)
		b.answer(conn, r, cluster)
		return
	}
	select {
	case b.streams <- &sniffed{Conn: b.dress(conn), r: r}: // memberlist sets the deadline anew
	case <-b.alive.Done():
		_ = conn.Close() // nobody is left to serve it
	}
}

// dress makes a stream one for memberlist to write to.
func (b *border) dress(conn net.Conn) net.Conn {
	if b.squeeze {
		return squeezed{conn}
	}
	return conn
}

// readLabel takes the cluster's name off a stream; it is "" if there is none.
func readLabel(r *bufio.Reader) (string, error) {
	first, err := r.Peek(1)
	if err != nil || first[0] != labelType {
		return "", err
	}
	head, err := r.Peek(2)
	if err != nil {
		return "", err
	}
	label, err := r.Peek(2 + int(head[1]))
	if err != nil {
		return "", err
	}
	name := string(label[2:])
	_, err = r.Discard(len(label))
	return name, err
}

// answer tells the peer, in the clear, why it is turned away: an error message of memberlist's.
func (b *border) answer(conn net.Conn, r io.Reader, cluster string) {
	defer func() { _ = conn.Close() }()
	text := fmt.Sprintf("%sthat member is of %s, we are of %s", mismatch, describeCluster(b.cluster), describeCluster(cluster))
	if _, err := conn.Write(errorMessage(text)); err != nil {
		return // it has hung up
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer reads to the end of the message either way
	}
	_, _ = io.CopyN(io.Discard, r, drainLimit) // until it hangs up
}

// errorMessage encodes {"Error": text} as memberlist does, for texts of up to 65,535 bytes.
func errorMessage(text string) []byte {
	msg := append([]byte{errorType, 0x81, 0xa5}, "Error"...)
	msg = append(msg, 0xda, byte(len(text)>>8), byte(len(text)))
	return append(msg, text...)
}

func describeCluster(name string) string {
	if name == "" {
		return "a cluster without a name"
	}
	return fmt.Sprintf("cluster %q", name)
}

// turnAway counts what is of another cluster and logs it, once a minute at most.
func (b *border) turnAway(peer net.Addr, cluster string) {
	metrics.IncrCounter([]string{"gossip", "cluster", "mismatch"}, 1)
	n := b.turnedAway.Add(1)
	now, due := time.Now().Unix(), b.nextLine.Load()
	if now < due || !b.nextLine.CompareAndSwap(due, now+lineInterval) {
		return
	}
	b.turnedAway.Add(-n)
	b.log.Warn("turned away gossip of another cluster", "peer", peer,
		"its", describeCluster(cluster), "ours", describeCluster(b.cluster), "count", n)
}

// WriteToAddress sends a packet.
func (b *border) WriteToAddress(buf []byte, addr memberlist.Address) (time.Time, error) {
	if t, ok := b.Transport.(memberlist.NodeAwareTransport); ok {
		return t.WriteToAddress(buf, addr)
	}
	return b.WriteTo(buf, addr.Addr)
}

// DialAddressTimeout connects to a peer; if it turns us away, reading from it gives the reason.
func (b *border) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	t, ok := b.Transport.(memberlist.NodeAwareTransport)
	if !ok {
		return b.DialTimeout(addr.Addr, timeout)
	}
	conn, err := t.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return newVisit(b.dress(conn)), nil
}

// DialTimeout is DialAddressTimeout without a name.
func (b *border) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := b.Transport.DialTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	return newVisit(b.dress(conn)), nil
}

// Shutdown closes the transport and waits until nothing more comes from it.
func (b *border) Shutdown() error {
	b.once.Do(func() {
		b.err = b.Transport.Shutdown() // which may wait until its last packets are taken
		b.end()
		b.running.Wait()
	})
	return b.err
}

// sniffed is a connection of which the beginning was looked at.
type sniffed struct {
	net.Conn
	r *bufio.Reader
}

func (c *sniffed) Read(p []byte) (int, error) { return c.r.Read(p) }

// visit is a connection to a peer that may turn us away. memberlist shows a peer's error only if it came encrypted as
// ours is, which it does not when the clusters differ.
type visit struct {
	net.Conn
	r    *bufio.Reader
	read bool
	err  error
}

func newVisit(conn net.Conn) *visit { return &visit{Conn: conn, r: bufio.NewReader(conn)} }

// refusal is what a peer answers that is of another cluster.
type refusal string

func (r refusal) Error() string { return string(r) }

func (c *visit) Read(p []byte) (int, error) {
	if !c.read {
		c.read = true
		if first, err := c.r.Peek(1); err == nil && first[0] == errorType {
			c.err = readRefusal(c.r)
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.r.Read(p)
}

// readRefusal returns the reason if an error message is one of answer's, and takes nothing off the stream if not.
func readRefusal(r *bufio.Reader) error {
	head := len(errorMessage(""))
	start, _ := r.Peek(head + len(mismatch)) // what is cut short or too long is memberlist's to judge
	if len(start) < head+len(mismatch) || string(start[head:]) != mismatch || string(start[3:8]) != "Error" {
		return nil
	}
	size := head + int(start[head-2])<<8 + int(start[head-1])
	msg, _ := r.Peek(size)
	if len(msg) < size {
		return nil
	}
	return refusal(strings.ToValidUTF8(string(msg[head:]), "?"))
}
