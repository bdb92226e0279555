package config

import "errors"

// Outward is how other DNS servers take part: secondaries that transfer the zone, and one that is updated.
type Outward struct {
	// Keys is the file of the TSIG keys that the settings below name.
	Keys string
	// Transfer says who may have all of the zone: each a network, "key=NAME", or both with a space between them.
	Transfer []string
	// Notify are the secondaries to tell of changes: each HOST[:PORT], with " key=NAME" behind it if it wants that.
	Notify []string
	// UpdateServer is the DNS server (HOST[:PORT]) that is kept in step by dynamic updates, UpdateZone the zone there, and
	// UpdateName the name in it that the zone's own becomes; "" means UpdateZone. UpdateKey is the name of a TSIG key, and
	// UpdateOwner what marks our records.
	UpdateServer, UpdateZone, UpdateName, UpdateKey, UpdateOwner string
}

// validateOutward checks the settings by which DNS reaches other servers, as far as they can be without a look at the keys.
func (c *Config) validateOutward() error {
	switch {
	case c.Outward.UpdateServer == "" && (c.Outward.UpdateZone != "" || c.Outward.UpdateName != "" || c.Outward.UpdateKey != ""):
		return errors.New("dns_update_zone, dns_update_name and dns_update_key need dns_update_server")
	case c.Outward.UpdateServer != "" && c.Outward.UpdateZone == "":
		return errors.New("dns_update_server needs dns_update_zone, the zone to update there")
	case c.DNSAddr == "" && (c.Outward.UpdateServer != "" || len(c.Outward.Transfer) > 0 || len(c.Outward.Notify) > 0):
		return errors.New("dns_transfer, dns_notify and dns_update_server need DNS, which is off (dns_addr)")
	}
	return nil
}
