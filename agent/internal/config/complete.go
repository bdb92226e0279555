package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-645ce708/gossip/agent/internal/handler"
	"github.com/seed-645ce708/gossip/agent/internal/logs"
)

// ErrKeySize refuses an encryption key that does not fit AES-128, AES-192 or AES-256. It never shows the key.
var ErrKeySize = errors.New("key size must be 16, 24 or 32 bytes")

// The least that RetryInterval and BroadcastTimeout may be (Serf reference 3.1).
const minInterval = time.Second

// Clone returns a copy that shares no map or slice with c.
func (c Config) Clone() Config {
	c.Tags = maps.Clone(c.Tags)
	c.EventHandlers = slices.Clone(c.EventHandlers)
	c.StartJoin = slices.Clone(c.StartJoin)
	c.RetryJoin = slices.Clone(c.RetryJoin)
	c.DNS.SigningKeys = slices.Clone(c.DNS.SigningKeys)
	c.Outward.Transfer = slices.Clone(c.Outward.Transfer)
	c.Outward.Notify = slices.Clone(c.Outward.Notify)
	return c
}

// Complete ends a configuration: it fills in the host's name, moves Role into Tags, puts level, profile and zone
// into their one spelling, raises intervals that are too low, and checks everything that can be checked
// without opening a file or looking at the network. The warnings are for people, one line each, and do not stop
// an agent. Completing twice changes nothing and warns of nothing new.
func (c *Config) Complete() (warnings []string, err error) {
	if c.NodeName == "" {
		if c.NodeName, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("cannot find out the host's name (set one with -node): %w", err)
		}
	}
	tags := maps.Clone(c.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	if c.Role != "" {
		warnings = append(warnings, "Deprecation warning: 'Role' has been replaced with 'Tags'")
		tags["role"] = c.Role
		c.Role = ""
	}
	c.Tags = tags
	if c.RetryInterval < minInterval {
		warnings = append(warnings, "Warning: 'RetryInterval' is too low. Setting to 1s")
		c.RetryInterval = minInterval
	}
	if c.BroadcastTimeout < minInterval {
		warnings = append(warnings, "Warning: 'BroadcastTimeout' is too low. Setting to 1s")
		c.BroadcastTimeout = minInterval
	}
	if c.RejoinAfterLeave && c.SnapshotPath == "" {
		warnings = append(warnings, "Warning: 'RejoinAfterLeave' enabled without snapshot file")
	}
	if c.Protocol <= 0 {
		c.Protocol = ProtocolDefault
	}
	if c.LogLevel, err = ParseLogLevel(c.LogLevel); err != nil {
		return warnings, err
	}
	if !strings.HasSuffix(c.DNSZone, ".") {
		c.DNSZone += "."
	}
	return warnings, c.validate()
}

// ParseLogLevel returns the one spelling of a level, as logs.LevelNames has it, for any case of it, and for "ERROR".
func ParseLogLevel(level string) (string, error) {
	l := strings.ToUpper(level)
	if l == "ERROR" {
		l = "ERR"
	}
	if !slices.Contains(logs.LevelNames(), l) {
		return "", fmt.Errorf("invalid log level: %s. Valid log levels are: %v", l, logs.LevelNames())
	}
	return l, nil
}

// SecretKey decodes EncryptKey; it is nil if there is none.
func (c Config) SecretKey() ([]byte, error) {
	if c.EncryptKey == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(string(c.EncryptKey))
	if err != nil {
		return nil, fmt.Errorf("invalid encryption key: not standard base64: %w (make one with 'gossip keygen')", err)
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	}
	return nil, fmt.Errorf("invalid encryption key: %w, not %d (make one with 'gossip keygen')", ErrKeySize, len(key))
}

// validate checks a filled-in configuration and reports the first thing that is wrong, in the words of Serf
// reference 3.1 where Serf has any.
func (c *Config) validate() error {
	for key := range c.Tags {
		if key == "" {
			return errors.New("invalid tag: the key is empty")
		}
	}
	if c.TagsFile != "" && len(c.Tags) > 0 {
		return errors.New("tags config not allowed while using tag files (drop the tags or -tags-file)")
	}
	if c.KeyringFile != "" && c.EncryptKey != "" {
		return errors.New("encryption key not allowed while using a keyring (drop encrypt_key or keyring_file)")
	}
	if _, err := c.SecretKey(); err != nil {
		return err
	}
	switch {
	case c.Protocol > ProtocolMax:
		return fmt.Errorf("protocol version '%d' too high. Must be in range: [%d, %d]", c.Protocol, ProtocolMin, ProtocolMax)
	case c.Protocol < ProtocolMin:
		return fmt.Errorf("protocol version '%d' too low. Must be in range: [%d, %d]", c.Protocol, ProtocolMin, ProtocolMax)
	}
	if !slices.Contains(Profiles(), c.Profile) {
		return fmt.Errorf("unknown profile: %s (one of %s)", c.Profile, strings.Join(Profiles(), ", "))
	}
	if len(c.Cluster) > ClusterMax || strings.ContainsFunc(c.Cluster, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("cluster name %q must be at most %d bytes of printable text", c.Cluster, ClusterMax)
	}
	if c.LogFormat != LogText && c.LogFormat != LogJSON {
		return fmt.Errorf("invalid log format: %s (one of text, json)", c.LogFormat)
	}
	if _, err := handler.ParseAll(c.EventHandlers); err != nil {
		return err
	}
	if c.MDNS.Interface != "" {
		if c.Discover == "" {
			return errors.New("mDNS interface specified without enabling mDNS discovery (add -discover)")
		}
	}
	if c.Discover != "" && c.MDNS.DisableIPv4 && c.MDNS.DisableIPv6 {
		return errors.New("invalid mDNS configuration: both IPv4 and IPv6 are disabled")
	}
	if c.ValidateNodeNames {
		if err := CheckNodeName(c.NodeName); err != nil {
			return err
		}
	}
	if err := c.DNS.validate(); err != nil {
		return err
	}
	if err := c.validateOutward(); err != nil {
		return err
	}
	return c.validateNumbers()
}

// validateNumbers checks the ranges of limits and durations.
func (c *Config) validateNumbers() error {
	if c.UserEventSizeLimit > UserEventSizeMax {
		return fmt.Errorf("user_event_size_limit is %d, above its limit of %d bytes", c.UserEventSizeLimit, UserEventSizeMax)
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"user_event_size_limit", c.UserEventSizeLimit},
		{"query_size_limit", c.QuerySizeLimit},
		{"query_response_size_limit", c.QueryResponseSizeLimit},
		{"retry_max_attempts", c.RetryMaxAttempts},
		{"handler_concurrency", c.HandlerConcurrency},
	} {
		if n.value < 0 {
			return fmt.Errorf("%s is %d, but must not be negative", n.key, n.value)
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"reconnect_interval", c.ReconnectInterval},
		{"reconnect_timeout", c.ReconnectTimeout},
		{"tombstone_timeout", c.TombstoneTimeout},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%s is %v, but must be above zero", d.key, d.value)
		}
	}
	for _, d := range []struct {
		key, zero string
		value     time.Duration
	}{
		{"handler_timeout", "sets no limit", c.HandlerTimeout},
		{"heal_interval", "turns healing off", c.HealInterval},
		{"reclaim_timeout", "waits until gossip has forgotten the member", c.ReclaimTimeout},
	} {
		if d.value < 0 {
			return fmt.Errorf("%s is %v, but must not be negative (0 %s)", d.key, d.value, d.zero)
		}
	}
	if c.FlapHalfLife < 0 {
		return fmt.Errorf("flap_half_life is %v, but must not be negative (0 turns damping off)", c.FlapHalfLife)
	}
	if c.DNSStaleLimit < 0 {
		return fmt.Errorf("dns_stale_limit is %v, but must not be negative (0 drops failed members at once)", c.DNSStaleLimit)
	}
	return c.validateZone()
}

// CheckNodeName applies the rule of Serf reference 2.13: letters, digits, dashes and dots, 1 to 128 of them.
func CheckNodeName(name string) error {
	if len(name) == 0 || len(name) > 128 {
		return fmt.Errorf("node name is %d characters. Valid length is between 1 and 128 characters", len(name))
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
		default:
			return fmt.Errorf("node name contains invalid characters %q. Valid characters include all alpha-numerics, dashes and '.'", name)
		}
	}
	return nil
}

// Reload returns c with the settings that a running agent takes over from next: log level, event handlers, tags and the two
// settings about leaving on a signal, as Serf has it (Serf reference 3.5), and of DNS the keys and who may what with them. All
// others need a restart.
func (c Config) Reload(next Config) Config {
	next = next.Clone()
	c.LogLevel = next.LogLevel
	c.EventHandlers = next.EventHandlers
	c.Tags = next.Tags
	c.LeaveOnTerminate = next.LeaveOnTerminate
	c.SkipLeaveOnInterrupt = next.SkipLeaveOnInterrupt
	c.DNS.TLSCert, c.DNS.TLSKey = next.DNS.TLSCert, next.DNS.TLSKey
	c.DNS.CookieFile, c.DNS.SigningKeys = next.DNS.CookieFile, next.DNS.SigningKeys
	c.Outward.Keys, c.Outward.UpdateKey = next.Outward.Keys, next.Outward.UpdateKey
	c.Outward.Transfer, c.Outward.Notify = next.Outward.Transfer, next.Outward.Notify
	return c
}

// Kept names, as files do, the settings in which next differs from c although a running agent does not take them over.
func (c Config) Kept(next Config) []string {
	c = c.Reload(next)
	var names []string
	for _, s := range settings {
		if s.key != "" && s.field != nil && !reflect.DeepEqual(s.field(&c), s.field(&next)) {
			names = append(names, s.key)
		}
	}
	return names
}
