package dnsbridge

import (
	"fmt"
	"slices"

	"github.com/seed-645ce708/gossip/dnsserver/dnssec"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// newSigner reads the keys of the zone and those beside it; nil if there are none.
func newSigner(files []string, z *zone.Zone) (*dnssec.Signer, error) {
	if len(files) == 0 {
		return nil, nil
	}
	served := []string{z.Origin()}
	for _, r := range z.Reverse() {
		served = append(served, r.Origin())
	}
	var keys []*dnssec.Key
	for _, file := range files {
		k, err := dnssec.Load(file)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(served, k.Zone()) {
			return nil, fmt.Errorf("key %s is for the zone %s, but what is served is %s", file, k.Zone(), z.Origin())
		}
		keys = append(keys, k)
	}
	return dnssec.NewSigner(keys)
}
