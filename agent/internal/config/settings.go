package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// kind is the type of a setting together with the rule by which a later layer meets an earlier one.
type kind int

const (
	text     kind = iota // a string; wins when it is not empty
	textSet              // a string; wins whenever it is given, even empty
	integer              // a whole number; wins when it is not zero
	count                // a whole number; wins whenever it is given, even as 0
	duration             // a Go duration in quotes; wins when it is not zero
	interval             // a Go duration in quotes; wins whenever it is given, even as 0s
	onSwitch             // true turns on; false changes nothing
	toggle               // the last one given wins
	list                 // strings, added behind the earlier ones
	table                // strings by key; each key wins on its own
	ignored              // a bool that is read and forgotten
)

// setting describes one entry of Serf reference 3.2, or one of ours.
type setting struct {
	key   string // in files; nested ones as "mdns.interface"; "" if flags alone have it
	flag  string // on the command line; "" if files alone have it
	arg   string // what the help shows behind the flag; "" for switches
	help  string // one line of help
	kind  kind
	field func(*Config) any // pointer to the field; nil for ignored
	given func(*Config)     // runs when the setting was given; may be nil
}

// settings lists every setting, in the order of the help.
var settings = []setting{
	{key: "node_name", flag: "node", arg: "NAME", kind: text, field: func(c *Config) any { return &c.NodeName },
		help: "name of this node, unique in the cluster (default: the host's name)"},
	{key: "role", flag: "role", arg: "ROLE", kind: text, field: func(c *Config) any { return &c.Role },
		help: "deprecated: use -tag role=ROLE"},
	{key: "tags", flag: "tag", arg: "KEY=VALUE", kind: table, field: func(c *Config) any { return &c.Tags },
		help: "tag of this node; may be repeated"},
	{key: "tags_file", flag: "tags-file", arg: "FILE", kind: text, field: func(c *Config) any { return &c.TagsFile },
		help: "keep tags that change at run time in FILE; not together with -tag"},
	{key: "bind", flag: "bind", arg: "HOST[:PORT]", kind: text, field: func(c *Config) any { return &c.Bind },
		help: "gossip address, UDP and TCP; also [::1]:7946 or a template such as '{{ GetPrivateIP }}' (default 0.0.0.0:7946)"},
	{key: "interface", flag: "iface", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Interface },
		help: "network interface to bind, or to check -bind against; mDNS uses it too"},
	{key: "advertise", flag: "advertise", arg: "HOST[:PORT]", kind: text, field: func(c *Config) any { return &c.Advertise },
		help: "address told to other members, if not the bound one; may be a template"},
	{key: "encrypt_key", flag: "encrypt", arg: "KEY", kind: text, field: func(c *Config) any { return (*string)(&c.EncryptKey) },
		help: "gossip encryption key, base64 of 16, 24 or 32 bytes; make one with 'gossip keygen'"},
	{key: "keyring_file", flag: "keyring-file", arg: "FILE", kind: text, field: func(c *Config) any { return &c.KeyringFile },
		help: "file of gossip keys, kept up to date as keys change; not together with -encrypt"},
	{key: "cluster", flag: "cluster", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Cluster },
		help: "name that keeps this cluster apart from others; the same on all members (default none)"},
	{key: "profile", flag: "profile", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Profile },
		help: "timing: lan, wan or local; with serf- before it, Serf's slower one (default lan)"},
	{key: "protocol", flag: "protocol", arg: "N", kind: integer, field: func(c *Config) any { return &c.Protocol },
		help: "Serf protocol version to speak, 2 to 5 (default 5)"},
	{key: "rpc_addr", flag: "rpc-addr", arg: "HOST:PORT", kind: text, field: func(c *Config) any { return &c.RPCAddr },
		help: "address of the RPC listener; may be a template (default 127.0.0.1:7373)"},
	{key: "rpc_auth", kind: text, field: func(c *Config) any { return (*string)(&c.RPCAuth) },
		help: "token that RPC clients must show"},

	{key: "dns_addr", flag: "dns-addr", arg: "HOST:PORT", kind: textSet, field: func(c *Config) any { return &c.DNSAddr },
		given: func(c *Config) { c.DNSAddrSet = true },
		help:  "address of the DNS server, UDP and TCP; '' turns it off (default 127.0.0.1:8600)"},
	{key: "dns_zone", flag: "dns-zone", arg: "ZONE", kind: text, field: func(c *Config) any { return &c.DNSZone },
		help: "DNS zone to answer for (default gossip.)"},
	{key: "dns_node_ttl", flag: "dns-node-ttl", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.DNSNodeTTL },
		help: "time to live of node addresses (default 5s)"},
	{key: "dns_service_ttl", flag: "dns-service-ttl", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.DNSServiceTTL },
		help: "time to live of answers about services and tags (default 0s)"},
	{key: "dns_negative_ttl", flag: "dns-negative-ttl", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.DNSNegativeTTL },
		help: "time to live of negative answers (default 2s)"},
	{key: "dns_order", flag: "dns-order", arg: "ORDER", kind: text, field: func(c *Config) any { return &c.DNSOrder },
		help: "order of records in DNS answers: random, stable or nearest (default random)"},
	{key: "dns_answers", flag: "dns-answers", arg: "N", kind: count, field: func(c *Config) any { return &c.DNSAnswers },
		help: "how many of the members a DNS answer about a service or tag has; 0 gives all (default 0)"},
	{key: "dns_nearest_band", flag: "dns-nearest-band", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.DNSNearestBand },
		help: "round-trip times that differ by no more than this count as equally near (default 2ms)"},
	{key: "dns_services", flag: "dns-service", arg: "NAME=POLICY", kind: table, field: func(c *Config) any { return &c.DNSServices },
		help: "what is different for one service, such as web=ttl=10s,order=nearest,answers=3; may be repeated"},
	{key: "dns_reverse", flag: "dns-reverse", arg: "NETWORK", kind: list, field: func(c *Config) any { return &c.DNSReverse },
		help: "answer for the names of addresses in NETWORK, such as 10.0.0.0/8; may be repeated"},
	{key: "dns_stale_limit", flag: "dns-stale-limit", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.DNSStaleLimit },
		help: "how long DNS shows failed members while the agent looks cut off; 0s drops them at once (default 5m)"},
	{key: "dns_udp_size", flag: "dns-udp-size", arg: "BYTES", kind: integer, field: func(c *Config) any { return &c.DNS.UDPSize },
		help: "longest DNS reply over UDP, to hosts other than this one (default 1232)"},
	{key: "dns_max_connections", flag: "dns-max-connections", arg: "N", kind: integer, field: func(c *Config) any { return &c.DNS.MaxConnections },
		help: "DNS connections over TCP and TLS that may be open (default 256)"},
	{key: "dns_max_connections_per_client", flag: "dns-max-connections-per-client", arg: "N", kind: integer,
		field: func(c *Config) any { return &c.DNS.MaxConnectionsPerClient },
		help:  "those of one client (default 64)"},
	{key: "dns_idle_timeout", flag: "dns-idle-timeout", arg: "TIME", kind: duration, field: func(c *Config) any { return &c.DNS.IdleTimeout },
		help: "how long a DNS connection may be silent (default 10s)"},
	{key: "dns_tls_addr", flag: "dns-tls-addr", arg: "HOST:PORT", kind: text, field: func(c *Config) any { return &c.DNS.TLSAddr },
		help: "address of DNS over TLS, such as 0.0.0.0:853 (default none)"},
	{key: "dns_tls_cert", flag: "dns-tls-cert", arg: "FILE", kind: text, field: func(c *Config) any { return &c.DNS.TLSCert },
		help: "certificate for DNS over TLS, PEM; read again when it changes"},
	{key: "dns_tls_key", flag: "dns-tls-key", arg: "FILE", kind: text, field: func(c *Config) any { return &c.DNS.TLSKey },
		help: "its private key, PEM"},
	{key: "dns_cookies", flag: "dns-cookies", arg: "on|off|require", kind: text, field: func(c *Config) any { return &c.DNS.Cookies },
		help: "DNS cookies: given to who asks, ignored, or required of who knows them (default on)"},
	{key: "dns_cookie_file", flag: "dns-cookie-file", arg: "FILE", kind: text, field: func(c *Config) any { return &c.DNS.CookieFile },
		help: "secrets of DNS cookies, to share them between agents (default: a random one)"},
	{key: "dns_rate_limit", flag: "dns-rate-limit", arg: "N", kind: count, field: func(c *Config) any { return &c.DNS.RateLimit },
		help: "DNS replies of one kind over UDP that a network gets in a second; 0 sets no limit (default 200)"},
	{key: "dns_rate_slip", flag: "dns-rate-slip", arg: "N", kind: count, field: func(c *Config) any { return &c.DNS.RateSlip },
		help: "one in N replies over the limit goes out truncated; 0 drops all (default 2)"},
	{key: "dns_rate_exempt", flag: "dns-rate-exempt", arg: "NETWORKS", kind: textSet, field: func(c *Config) any { return &c.DNS.RateExempt },
		help: "networks without that limit, with commas between; 'private' stands for all that are (default private)"},
	{key: "dns_nsid", flag: "dns-nsid", arg: "TEXT", kind: text, field: func(c *Config) any { return &c.DNS.NSID },
		help: "what DNS calls this server when asked (NSID, hostname.bind); on: the node's name (default nothing)"},
	{key: "dns_version", flag: "dns-version", arg: "TEXT", kind: text, field: func(c *Config) any { return &c.DNS.Version },
		help: "answer for version.bind; on: the true one (default none)"},
	{key: "dns_dnssec_key", flag: "dns-dnssec-key", arg: "FILE", kind: list, field: func(c *Config) any { return &c.DNS.SigningKeys },
		help: "sign the zone with this key of 'gossip dns keygen' (DNSSEC); may be repeated"},
	{key: "dns_tsig_keys", flag: "dns-tsig-keys", arg: "FILE", kind: text, field: func(c *Config) any { return &c.Outward.Keys },
		help: "TSIG keys, as 'tsig-keygen' writes them"},
	{key: "dns_transfer", flag: "dns-transfer", arg: "NETWORK|key=NAME", kind: list, field: func(c *Config) any { return &c.Outward.Transfer },
		help: "who may transfer the zone; 'NETWORK key=NAME' means both; may be repeated (default nobody)"},
	{key: "dns_notify", flag: "dns-notify", arg: "HOST[:PORT]", kind: list, field: func(c *Config) any { return &c.Outward.Notify },
		help: "secondary to tell of changes; with 'key=NAME' behind it, signed; may be repeated"},
	{key: "dns_update_server", flag: "dns-update-server", arg: "HOST[:PORT]", kind: text, field: func(c *Config) any { return &c.Outward.UpdateServer },
		help: "DNS server to keep in step by dynamic updates"},
	{key: "dns_update_zone", flag: "dns-update-zone", arg: "ZONE", kind: text, field: func(c *Config) any { return &c.Outward.UpdateZone },
		help: "zone to update there"},
	{key: "dns_update_name", flag: "dns-update-name", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Outward.UpdateName },
		help: "name in that zone to publish below (default the zone)"},
	{key: "dns_update_key", flag: "dns-update-key", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Outward.UpdateKey },
		help: "TSIG key that signs updates"},
	{key: "dns_update_owner", flag: "dns-update-owner", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Outward.UpdateOwner },
		help: "what marks our records there; the same on all agents that publish to one name (default gossip)"},

	{key: "event_handlers", flag: "event-handler", arg: "[FILTER=]CMD", kind: list, field: func(c *Config) any { return &c.EventHandlers },
		help: "command to run on events, such as 'user:deploy=./deploy.sh'; may be repeated"},
	{key: "handler_timeout", flag: "handler-timeout", arg: "TIME", kind: interval, field: func(c *Config) any { return &c.HandlerTimeout },
		help: "end handlers that run longer; 0s sets no limit (default 0s)"},
	{key: "handler_concurrency", flag: "handler-concurrency", arg: "N", kind: integer, field: func(c *Config) any { return &c.HandlerConcurrency },
		help: "commands that may run at the same time, each for one event; 0 means 16 (default 0)"},

	{key: "start_join", flag: "join", arg: "HOST[:PORT]", kind: list, field: func(c *Config) any { return &c.StartJoin },
		help: "member to join at the start, which fails if none is reached; without PORT, our own; may be repeated"},
	{key: "retry_join", flag: "retry-join", arg: "HOST[:PORT]", kind: list, field: func(c *Config) any { return &c.RetryJoin },
		help: "member to join in the background until it succeeds; without PORT, our own; may be repeated"},
	{key: "retry_interval", flag: "retry-interval", arg: "TIME", kind: duration, field: func(c *Config) any { return &c.RetryInterval },
		help: "pause between attempts of -retry-join, at least 1s (default 30s)"},
	{key: "retry_max_attempts", flag: "retry-max", arg: "N", kind: integer, field: func(c *Config) any { return &c.RetryMaxAttempts },
		help: "end the agent after more failed attempts than this; 0 means never (default 0)"},
	{key: "replay_on_join", flag: "replay", kind: onSwitch, field: func(c *Config) any { return &c.ReplayOnJoin },
		help: "deliver past user events when joining"},

	{key: "snapshot_path", flag: "snapshot", arg: "FILE", kind: text, field: func(c *Config) any { return &c.SnapshotPath },
		help: "file that remembers members and event times, to rejoin after a restart"},
	{key: "rejoin_after_leave", flag: "rejoin", kind: onSwitch, field: func(c *Config) any { return &c.RejoinAfterLeave },
		help: "rejoin from the snapshot even after a graceful leave"},

	{key: "discover", flag: "discover", arg: "NAME", kind: text, field: func(c *Config) any { return &c.Discover },
		help: "find and join the members of this mDNS cluster name"},
	{key: "mdns.interface", flag: "mdns-iface", arg: "NAME", kind: text, field: func(c *Config) any { return &c.MDNS.Interface },
		help: "network interface for mDNS (default: that of -iface)"},
	{key: "mdns.disable_ipv4", flag: "mdns-disable-ipv4", kind: onSwitch, field: func(c *Config) any { return &c.MDNS.DisableIPv4 },
		help: "no mDNS over IPv4"},
	{key: "mdns.disable_ipv6", flag: "mdns-disable-ipv6", kind: onSwitch, field: func(c *Config) any { return &c.MDNS.DisableIPv6 },
		help: "no mDNS over IPv6"},

	{key: "log_level", flag: "log-level", arg: "LEVEL", kind: text, field: func(c *Config) any { return &c.LogLevel },
		help: "trace, debug, info, warn or err (default info)"},
	{key: "log_format", flag: "log-format", arg: "text|json", kind: text, field: func(c *Config) any { return &c.LogFormat },
		help: "form of log lines (default text)"},
	{key: "enable_syslog", flag: "syslog", kind: onSwitch, field: func(c *Config) any { return &c.EnableSyslog },
		help: "log to syslog too"},
	{key: "syslog_facility", kind: text, field: func(c *Config) any { return &c.SyslogFacility },
		help: "syslog facility (default LOCAL0)"},

	{key: "broadcast_timeout", flag: "broadcast-timeout", arg: "TIME", kind: duration, field: func(c *Config) any { return &c.BroadcastTimeout },
		help: "how long leave, force-leave and changes of tags wait to be sent, at least 1s (default 5s)"},
	{key: "enable_compression", kind: toggle, field: func(c *Config) any { return &c.EnableCompression },
		help: "compress gossip (default true)"},
	{flag: "disable-compression", kind: toggle, field: func(c *Config) any { return (*inverse)(&c.EnableCompression) },
		help: "do not compress gossip"},

	{key: "leave_on_terminate", kind: onSwitch, field: func(c *Config) any { return &c.LeaveOnTerminate },
		help: "leave gracefully on SIGTERM"},
	{key: "skip_leave_on_interrupt", kind: onSwitch, field: func(c *Config) any { return &c.SkipLeaveOnInterrupt },
		help: "do not leave gracefully on SIGINT"},
	{key: "reconnect_interval", kind: duration, field: func(c *Config) any { return &c.ReconnectInterval },
		help: "pause between attempts to reach failed members (default 30s)"},
	{key: "reconnect_timeout", kind: duration, field: func(c *Config) any { return &c.ReconnectTimeout },
		help: "how long failed members are remembered (default 24h)"},
	{key: "tombstone_timeout", kind: duration, field: func(c *Config) any { return &c.TombstoneTimeout },
		help: "how long members that left are remembered (default 24h)"},
	{key: "flap_half_life", kind: interval, field: func(c *Config) any { return &c.FlapHalfLife },
		help: "time in which the penalty of a member that comes and goes halves; 0s keeps nobody out of answers (default 2m)"},
	{key: "heal_interval", kind: interval, field: func(c *Config) any { return &c.HealInterval },
		help: "how often the cluster looks for a seed that is no member; 0s turns it off (default 2m)"},
	{key: "reclaim_timeout", kind: interval, field: func(c *Config) any { return &c.ReclaimTimeout },
		help: "how long a failed member keeps its name from another address (default 10s)"},
	{key: "disable_name_resolution", kind: onSwitch, field: func(c *Config) any { return &c.DisableNameResolution },
		help: "no vote about two members of the same name"},
	{key: "query_size_limit", kind: integer, field: func(c *Config) any { return &c.QuerySizeLimit },
		help: "bytes of an encoded query (default 1024)"},
	{key: "query_response_size_limit", kind: integer, field: func(c *Config) any { return &c.QueryResponseSizeLimit },
		help: "bytes of an encoded answer to a query (default 1024)"},
	{key: "user_event_size_limit", kind: integer, field: func(c *Config) any { return &c.UserEventSizeLimit },
		help: "bytes of a user event, at most 9216 (default 512)"},
	{key: "statsite_addr", kind: text, field: func(c *Config) any { return &c.StatsiteAddr },
		help: "statsite server for metrics, HOST:PORT"},
	{key: "statsd_addr", kind: text, field: func(c *Config) any { return &c.StatsdAddr },
		help: "statsd server for metrics, HOST:PORT"},
	{key: "disable_coordinates", kind: onSwitch, field: func(c *Config) any { return &c.DisableCoordinates },
		help: "no network coordinates"},
	{key: "validate_node_names", kind: onSwitch, field: func(c *Config) any { return &c.ValidateNodeNames },
		help: "refuse node names with characters that DNS names cannot have"},
	{key: "MsgpackUseNewTimeFormat", kind: ignored,
		help: "accepted because Serf has it; changes nothing, as no message holds a time"},
}

// inverse is a bool that is set to the opposite of what is given.
type inverse bool

// set lays a value of the right Go type over the setting: string, int, time.Duration, bool, []string or
// map[string]string.
func (s *setting) set(c *Config, v any) {
	if s.given != nil {
		s.given(c)
	}
	if s.kind == ignored {
		return
	}
	switch field := s.field(c).(type) {
	case *string:
		if v := v.(string); v != "" || s.kind == textSet {
			*field = v
		}
	case *int:
		if v := v.(int); v != 0 || s.kind == count {
			*field = v
		}
	case *time.Duration:
		if v := v.(time.Duration); v != 0 || s.kind == interval {
			*field = v
		}
	case *bool:
		if v := v.(bool); v || s.kind == toggle {
			*field = v
		}
	case *inverse:
		*field = inverse(!v.(bool))
	case *[]string:
		*field = slices.Concat(*field, v.([]string))
	case *map[string]string:
		merged := maps.Clone(*field)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, v.(map[string]string))
		*field = merged
	default:
		panic(fmt.Sprintf("config: setting %s%s has a field of type %T", s.key, s.flag, field))
	}
}

// find returns the setting of a file key, whatever its case.
func find(key string) (*setting, bool) {
	for i := range settings {
		if settings[i].key != "" && strings.EqualFold(settings[i].key, key) {
			return &settings[i], true
		}
	}
	return nil, false
}

// isGroup tells whether key is the first half of keys such as "mdns.interface".
func isGroup(key string) bool {
	for i := range settings {
		if group, _, ok := strings.Cut(settings[i].key, "."); ok && strings.EqualFold(group, key) {
			return true
		}
	}
	return false
}
