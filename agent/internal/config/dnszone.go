package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The orders of records in DNS answers.
const (
	OrderRandom  = "random"
	OrderStable  = "stable"
	OrderNearest = "nearest"
)

// DNSOrders lists them.
func DNSOrders() []string { return []string{OrderRandom, OrderStable, OrderNearest} }

// DNSPolicy is how DNS answers about one service.
type DNSPolicy struct {
	TTL     time.Duration
	Order   string
	Answers int // 0 means all
}

// DNSPolicy returns the policy for services that have none of their own.
func (c *Config) DNSPolicy() DNSPolicy { return DNSPolicy{c.DNSServiceTTL, c.DNSOrder, c.DNSAnswers} }

// DNSServicePolicies returns the policies for services that have one of their own, by name: ttl=TIME, order=ORDER and
// answers=N with commas between, each of which may be missing. The error names the service and what is wrong.
func (c *Config) DNSServicePolicies() (map[string]DNSPolicy, error) {
	policies := make(map[string]DNSPolicy, len(c.DNSServices))
	for name, text := range c.DNSServices {
		p := c.DNSPolicy()
		for item := range strings.SplitSeq(text, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			var err error
			switch key {
			case "ttl":
				p.TTL, err = time.ParseDuration(value)
			case "order":
				p.Order = value
			case "answers":
				p.Answers, err = strconv.Atoi(value)
			default:
				return nil, fmt.Errorf("dns_services: %s: %q is none of ttl=TIME, order=ORDER, answers=N", name, item)
			}
			if err != nil {
				return nil, fmt.Errorf("dns_services: %s: %q: %w", name, item, err)
			}
		}
		if err := p.validate(); err != nil {
			return nil, fmt.Errorf("dns_services: %s: %w", name, err)
		}
		policies[name] = p
	}
	return policies, nil
}

func (p DNSPolicy) validate() error {
	if err := checkTTL("ttl", p.TTL); err != nil {
		return err
	}
	if !slices.Contains(DNSOrders(), p.Order) {
		return fmt.Errorf("order is %q, but must be one of %s", p.Order, strings.Join(DNSOrders(), ", "))
	}
	if p.Answers < 0 {
		return fmt.Errorf("answers is %d, but must not be negative (0 gives all)", p.Answers)
	}
	return nil
}

func checkTTL(key string, ttl time.Duration) error {
	if ttl < 0 || ttl > math.MaxInt32*time.Second || ttl%time.Second != 0 {
		return fmt.Errorf("%s is %v, but must be whole seconds from 0s to %ds (RFC 2181 section 8)", key, ttl, math.MaxInt32)
	}
	return nil
}

// DNSReverseNetworks returns the networks of DNSReverse.
func (c *Config) DNSReverseNetworks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.DNSReverse {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("dns_reverse: %q is not a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}

// validateZone checks what DNS says.
func (c *Config) validateZone() error {
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"dns_node_ttl", c.DNSNodeTTL},
		{"dns_service_ttl", c.DNSServiceTTL},
		{"dns_negative_ttl", c.DNSNegativeTTL},
	} {
		if err := checkTTL(d.key, d.value); err != nil {
			return err
		}
	}
	if err := c.DNSPolicy().validate(); err != nil {
		return fmt.Errorf("dns_%w", err)
	}
	if c.DNSNearestBand < 0 {
		return fmt.Errorf("dns_nearest_band is %v, but must not be negative", c.DNSNearestBand)
	}
	if _, err := c.DNSServicePolicies(); err != nil {
		return err
	}
	_, err := c.DNSReverseNetworks()
	return err
}
