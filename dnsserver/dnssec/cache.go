package dnssec

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// cacheSize is how many record sets of each of two generations have their signatures kept: some 10 MiB.
const cacheSize = 8192

// id identifies the content of a record set, whatever the order of its records and the case of its owner.
type id [sha256.Size]byte

func identify(set []dns.RR) (id, error) {
	packed := make([][]byte, len(set))
	for i, rr := range set {
		c := dns.Copy(rr)
		c.Header().Name = dns.CanonicalName(rr.Header().Name)
		b := make([]byte, dns.Len(c)+1)
		n, err := dns.PackRR(c, b, 0, nil, false)
		if err != nil {
			return id{}, err
		}
		packed[i] = b[:n]
	}
	slices.SortFunc(packed, bytes.Compare)
	h := sha256.New()
	for _, b := range packed {
		_, _ = h.Write(b) // it never fails; records say how long they are
	}
	var out id
	h.Sum(out[:0])
	return out, nil
}

// cache keeps signatures. When the young generation is full it becomes the old one, and what nobody asks for goes with the
// next.
type cache struct {
	mu         sync.Mutex
	young, old map[id][]*dns.RRSIG
}

// get returns signatures that hold for a while yet.
func (c *cache) get(k id, now time.Time) ([]*dns.RRSIG, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sigs, ok := c.young[k]
	if !ok {
		if sigs, ok = c.old[k]; !ok {
			return nil, false
		}
		c.add(k, sigs)
	}
	left := time.Unix(int64(sigs[0].Expiration), 0).Sub(now)
	return sigs, left > renew && left <= validity
}

func (c *cache) put(k id, sigs []*dns.RRSIG) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, sigs)
}

func (c *cache) add(k id, sigs []*dns.RRSIG) {
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = make(map[id][]*dns.RRSIG), c.young
	}
	c.young[k] = sigs
}
