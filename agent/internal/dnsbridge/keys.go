package dnsbridge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-645ce708/gossip/dnsserver"
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

// Prepare reads what newer settings say of certificate, secrets and keys, and of who may transfer and is told, and returns
// what puts it in use. Until that is called, and if anything is wrong, nothing changes. Queries, transfers and notifications
// under way are not disturbed. All other settings stay as they are. It must not run twice at the same time.
func (b *Bridge) Prepare(next Config) (commit func(), err error) {
	contacts, err := newContacts(next.Outward)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	signer, err := newSigner(next.SigningKeys, b.empty)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	old := b.signer.Load()
	if signer.Equal(old) {
		signer = old // which has signatures in its memory
	}
	serve, err := b.server.Prepare(dnsserver.Material{
		TLSCert: next.Server.TLSCert, TLSKey: next.Server.TLSKey, CookieFile: next.Server.CookieFile, Keys: contacts.keys, Signer: signer,
	})
	if err != nil {
		return nil, err
	}
	return func() {
		if !contacts.keys.Equal(b.out.keys.Load()) {
			b.log.Info("TSIG keys were replaced", "keys", listed(contacts.keys.Names()))
		}
		if signer != old {
			b.log.Info("DNSSEC keys were replaced", "keys", listed(signer.Keys()))
		}
		serve()
		b.signer.Store(signer)
		b.out.meet(contacts)
	}, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
