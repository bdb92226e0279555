package coordinate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// pingVersion is the first byte of a payload.
const pingVersion = 1

// maxPayload bounds what is decoded; ours has 130 bytes, and an ack has to fit into a packet.
const maxPayload = 1400

// VersionError is returned for a payload in a form that is not known.
type VersionError struct{ Version byte }

func (e *VersionError) Error() string { return fmt.Sprintf("Unsupported ping version: %d", e.Version) }

// handle with its zero value writes what Serf writes (Serf reference 1.3).
var handle codec.MsgpackHandle

// body is a coordinate as it travels. The names are Serf's.
type body struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

// Encode returns the payload of an ack that tells c: a version byte and a msgpack map, 130 bytes.
func Encode(c Coordinate) []byte {
	out := []byte{pingVersion}
	var rest []byte
	b := body{Vec: c.Vec[:], Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
	if err := codec.NewEncoderBytes(&rest, &handle).Encode(b); err != nil {
		panic("coordinate: cannot encode numbers: " + err.Error()) // a fixed struct of numbers always encodes
	}
	return append(out, rest...)
}

// Decode reads what Encode wrote, leniently as in Serf reference 1.3. The error is a *VersionError,
// ErrDimensions, or tells what is malformed. Whether the numbers are sane is for Client.Update to say.
func Decode(payload []byte) (Coordinate, error) {
	if len(payload) == 0 {
		return Coordinate{}, errors.New("ping payload is empty")
	}
	if payload[0] != pingVersion {
		return Coordinate{}, &VersionError{Version: payload[0]}
	}
	if len(payload) > maxPayload {
		return Coordinate{}, fmt.Errorf("ping payload of %d bytes is too long", len(payload))
	}
	var b body
	if err := codec.NewDecoderBytes(payload[1:], &handle).Decode(&b); err != nil {
		return Coordinate{}, fmt.Errorf("decode ping payload: %w", err)
	}
	if len(b.Vec) != Dimensions {
		return Coordinate{}, ErrDimensions
	}
	return Coordinate{Vec: [Dimensions]float64(b.Vec), Error: b.Error, Adjustment: b.Adjustment, Height: b.Height}, nil
}

// Cache holds this node's coordinate and the newest one of each peer that answered a probe. memberlist calls
// it from several goroutines, so its methods may be called from any.
type Cache struct {
	self string

	mu     sync.Mutex
	client *Client
	peers  map[string]Coordinate
}

// NewCache returns the cache of the node named self, whose randomness comes from rng.
func NewCache(self string, rng *rand.Rand) *Cache {
	return &Cache{self: self, client: NewClient(rng), peers: make(map[string]Coordinate)}
}

// AckPayload returns what to send along with an ack.
func (c *Cache) AckPayload() []byte { return Encode(c.Self()) }

// Self returns this node's coordinate.
func (c *Cache) Self() Coordinate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Coordinate()
}

// Get returns the coordinate of a node; this node's own is known from the start.
func (c *Cache) Get(node string) (Coordinate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if node == c.self {
		return c.client.Coordinate(), true
	}
	coord, ok := c.peers[node]
	return coord, ok
}

// Distances estimates the round-trip times from this node to all of whom the coordinate is known, by name, itself included.
func (c *Cache) Distances() map[string]time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	self := c.client.Coordinate()
	out := make(map[string]time.Duration, len(c.peers)+1)
	for name, coord := range c.peers {
		out[name] = self.DistanceTo(coord)
	}
	out[c.self] = 0
	return out
}

// PingComplete takes in that node answered a probe after rtt with payload. An empty payload, from a node
// without coordinates, is ignored. The errors are those of Decode and Client.Update.
func (c *Cache) PingComplete(node string, rtt time.Duration, payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	coord, err := Decode(payload)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.client.Update(node, coord, rtt); err != nil {
		return err
	}
	c.peers[node] = coord
	return nil
}

// Forget drops what is known of a node that was erased.
func (c *Cache) Forget(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client.Forget(node)
	delete(c.peers, node)
}

// Resets is Client.Resets, the figure coordinate_resets of the RPC command stats.
func (c *Cache) Resets() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client.Resets()
}
