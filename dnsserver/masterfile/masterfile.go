// Package masterfile writes a zone as a master file (RFC 1035 section 5), which every other DNS server can load.
package masterfile

import (
	"bufio"
	"fmt"
	"io"

	"github.com/seed-645ce708/gossip/dnsserver/record"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// Write writes all records of a zone, the SOA record first and then by name and type. Names are absolute, so that the
// file means the same wherever it is included. Services by more than one tag and the server's status are not in it.
func Write(w io.Writer, z *zone.Zone) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(out, "; zone %s, serial %d\n", z.Origin(), z.Serial()) // Flush tells
	for owner, set := range z.RRsets() {
		for _, rr := range record.Of(owner, set) {
			_, _ = fmt.Fprintln(out, rr)
		}
	}
	return out.Flush()
}
