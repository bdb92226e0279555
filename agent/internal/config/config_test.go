package config

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// keyCase is one setting in each of its forms. An empty form means that it does not have it.
type keyCase struct {
	json, hcl string
	flags     []string
	want      func(*Config) // changes Default into what is wanted
}

var keyCases = map[string]keyCase{
	"node_name":    {`"n1"`, `"n1"`, []string{"-node", "n1"}, func(c *Config) { c.NodeName = "n1" }},
	"role":         {`"web"`, `"web"`, []string{"-role=web"}, func(c *Config) { c.Role = "web" }},
	"tags":         {`{"a":"1","b":"x=y"}`, `{a = "1", "b" = "x=y"}`, []string{"-tag", "a=1", "-tag", "b=x=y"}, func(c *Config) { c.Tags = map[string]string{"a": "1", "b": "x=y"} }},
	"tags_file":    {`"t"`, `"t"`, []string{"-tags-file", "t"}, func(c *Config) { c.TagsFile = "t" }},
	"bind":         {`"127.0.0.1:1"`, `"127.0.0.1:1"`, []string{"-bind", "127.0.0.1:1"}, func(c *Config) { c.Bind = "127.0.0.1:1" }},
	"interface":    {`"eth0"`, `"eth0"`, []string{"-iface", "eth0"}, func(c *Config) { c.Interface = "eth0" }},
	"advertise":    {`"10.0.0.1"`, `"10.0.0.1"`, []string{"-advertise", "10.0.0.1"}, func(c *Config) { c.Advertise = "10.0.0.1" }},
	"encrypt_key":  {`"k"`, `"k"`, []string{"-encrypt", "k"}, func(c *Config) { c.EncryptKey = "k" }},
	"keyring_file": {`"k"`, `"k"`, []string{"-keyring-file", "k"}, func(c *Config) { c.KeyringFile = "k" }},
	"profile":      {`"wan"`, `"wan"`, []string{"-profile", "wan"}, func(c *Config) { c.Profile = "wan" }},
	"protocol":     {`4`, `4`, []string{"-protocol", "4"}, func(c *Config) { c.Protocol = 4 }},
	"rpc_addr":     {`"a:1"`, `"a:1"`, []string{"-rpc-addr", "a:1"}, func(c *Config) { c.RPCAddr = "a:1" }},
	"rpc_auth":     {`"s"`, `"s"`, nil, func(c *Config) { c.RPCAuth = "s" }},
	"dns_addr":     {`"127.0.0.1:53"`, `"127.0.0.1:53"`, []string{"-dns-addr", "127.0.0.1:53"}, func(c *Config) { c.DNSAddr, c.DNSAddrSet = "127.0.0.1:53", true }},
	"dns_zone":     {`"z."`, `"z."`, []string{"-dns-zone", "z."}, func(c *Config) { c.DNSZone = "z." }},
	"dns_node_ttl": {`"0s"`, `"0s"`, []string{"-dns-node-ttl", "0s"}, func(c *Config) { c.DNSNodeTTL = 0 }},
	"dns_service_ttl": {`"7s"`, `"7s"`, []string{"-dns-service-ttl", "7s"},
		func(c *Config) { c.DNSServiceTTL = 7 * time.Second }},
	"dns_order":        {`"nearest"`, `"nearest"`, []string{"-dns-order", "nearest"}, func(c *Config) { c.DNSOrder = "nearest" }},
	"dns_answers":      {`3`, `3`, []string{"-dns-answers", "3"}, func(c *Config) { c.DNSAnswers = 3 }},
	"dns_nearest_band": {`"0s"`, `"0s"`, []string{"-dns-nearest-band", "0s"}, func(c *Config) { c.DNSNearestBand = 0 }},
	"dns_services": {`{"web":"ttl=10s,answers=1"}`, `{web = "ttl=10s,answers=1"}`, []string{"-dns-service", "web=ttl=10s,answers=1"},
		func(c *Config) { c.DNSServices = map[string]string{"web": "ttl=10s,answers=1"} }},
	"dns_reverse": {`["10.0.0.0/8"]`, `["10.0.0.0/8"]`, []string{"-dns-reverse", "10.0.0.0/8"},
		func(c *Config) { c.DNSReverse = []string{"10.0.0.0/8"} }},
	"dns_stale_limit":   {`"9s"`, `"9s"`, []string{"-dns-stale-limit", "9s"}, func(c *Config) { c.DNSStaleLimit = 9 * time.Second }},
	"dns_tsig_keys":     {`"k"`, `"k"`, []string{"-dns-tsig-keys", "k"}, func(c *Config) { c.Outward.Keys = "k" }},
	"dns_dnssec_key":    {`["k"]`, `["k"]`, []string{"-dns-dnssec-key", "k"}, func(c *Config) { c.DNS.SigningKeys = []string{"k"} }},
	"dns_transfer":      {`["key=a"]`, `["key=a"]`, []string{"-dns-transfer", "key=a"}, func(c *Config) { c.Outward.Transfer = []string{"key=a"} }},
	"dns_notify":        {`["a"]`, `["a"]`, []string{"-dns-notify", "a"}, func(c *Config) { c.Outward.Notify = []string{"a"} }},
	"dns_update_server": {`"a"`, `"a"`, []string{"-dns-update-server", "a"}, func(c *Config) { c.Outward.UpdateServer = "a" }},
	"dns_update_zone":   {`"a"`, `"a"`, []string{"-dns-update-zone", "a"}, func(c *Config) { c.Outward.UpdateZone = "a" }},
	"dns_update_name":   {`"a"`, `"a"`, []string{"-dns-update-name", "a"}, func(c *Config) { c.Outward.UpdateName = "a" }},
	"dns_update_key":    {`"a"`, `"a"`, []string{"-dns-update-key", "a"}, func(c *Config) { c.Outward.UpdateKey = "a" }},
	"dns_update_owner":  {`"a"`, `"a"`, []string{"-dns-update-owner", "a"}, func(c *Config) { c.Outward.UpdateOwner = "a" }},
	"dns_negative_ttl": {`"9s"`, `"9s"`, []string{"-dns-negative-ttl", "9s"},
		func(c *Config) { c.DNSNegativeTTL = 9 * time.Second }},
	"dns_udp_size":                   {`4096`, `4096`, []string{"-dns-udp-size", "4096"}, func(c *Config) { c.DNS.UDPSize = 4096 }},
	"dns_max_connections":            {`9`, `9`, []string{"-dns-max-connections", "9"}, func(c *Config) { c.DNS.MaxConnections = 9 }},
	"dns_max_connections_per_client": {`9`, `9`, []string{"-dns-max-connections-per-client", "9"}, func(c *Config) { c.DNS.MaxConnectionsPerClient = 9 }},
	"dns_idle_timeout":               {`"3s"`, `"3s"`, []string{"-dns-idle-timeout", "3s"}, func(c *Config) { c.DNS.IdleTimeout = 3 * time.Second }},
	"dns_tls_addr":                   {`"127.0.0.1:853"`, `"127.0.0.1:853"`, []string{"-dns-tls-addr", "127.0.0.1:853"}, func(c *Config) { c.DNS.TLSAddr = "127.0.0.1:853" }},
	"dns_tls_cert":                   {`"c"`, `"c"`, []string{"-dns-tls-cert", "c"}, func(c *Config) { c.DNS.TLSCert = "c" }},
	"dns_tls_key":                    {`"k"`, `"k"`, []string{"-dns-tls-key", "k"}, func(c *Config) { c.DNS.TLSKey = "k" }},
	"dns_cookies":                    {`"require"`, `"require"`, []string{"-dns-cookies", "require"}, func(c *Config) { c.DNS.Cookies = "require" }},
	"dns_cookie_file":                {`"f"`, `"f"`, []string{"-dns-cookie-file", "f"}, func(c *Config) { c.DNS.CookieFile = "f" }},
	"dns_rate_limit":                 {`0`, `0`, []string{"-dns-rate-limit", "0"}, func(c *Config) { c.DNS.RateLimit = 0 }},
	"dns_rate_slip":                  {`0`, `0`, []string{"-dns-rate-slip", "0"}, func(c *Config) { c.DNS.RateSlip = 0 }},
	"dns_rate_exempt":                {`""`, `""`, []string{"-dns-rate-exempt", ""}, func(c *Config) { c.DNS.RateExempt = "" }},
	"dns_nsid":                       {`"on"`, `"on"`, []string{"-dns-nsid", "on"}, func(c *Config) { c.DNS.NSID = "on" }},
	"dns_version":                    {`"1"`, `"1"`, []string{"-dns-version", "1"}, func(c *Config) { c.DNS.Version = "1" }},
	"event_handlers": {`["a.sh","user:x=b.sh"]`, `["a.sh", "user:x=b.sh"]`, []string{"-event-handler", "a.sh", "-event-handler", "user:x=b.sh"},
		func(c *Config) { c.EventHandlers = []string{"a.sh", "user:x=b.sh"} }},
	"handler_timeout":     {`"3m"`, `"3m"`, []string{"-handler-timeout", "3m"}, func(c *Config) { c.HandlerTimeout = 3 * time.Minute }},
	"handler_concurrency": {`3`, `3`, []string{"-handler-concurrency", "3"}, func(c *Config) { c.HandlerConcurrency = 3 }},
	"start_join":          {`["a","b"]`, `["a", "b"]`, []string{"-join", "a", "-join", "b"}, func(c *Config) { c.StartJoin = []string{"a", "b"} }},
	"replay_on_join":      {`true`, `true`, []string{"-replay"}, func(c *Config) { c.ReplayOnJoin = true }},
	"retry_join":          {`["a"]`, `["a"]`, []string{"-retry-join", "a"}, func(c *Config) { c.RetryJoin = []string{"a"} }},
	"retry_interval":      {`"2m"`, `"2m"`, []string{"-retry-interval", "2m"}, func(c *Config) { c.RetryInterval = 2 * time.Minute }},
	"retry_max_attempts":  {`6.9`, `6.9`, []string{"-retry-max", "6"}, func(c *Config) { c.RetryMaxAttempts = 6 }},
	"snapshot_path":       {`"s"`, `"s"`, []string{"-snapshot", "s"}, func(c *Config) { c.SnapshotPath = "s" }},
	"rejoin_after_leave":  {`true`, `true`, []string{"-rejoin"}, func(c *Config) { c.RejoinAfterLeave = true }},
	"discover":            {`"d"`, `"d"`, []string{"-discover", "d"}, func(c *Config) { c.Discover = "d" }},
	"mdns.interface":      {`"eth1"`, `"eth1"`, []string{"-mdns-iface", "eth1"}, func(c *Config) { c.MDNS.Interface = "eth1" }},
	"mdns.disable_ipv4":   {`true`, `true`, []string{"-mdns-disable-ipv4"}, func(c *Config) { c.MDNS.DisableIPv4 = true }},
	"mdns.disable_ipv6":   {`true`, `true`, []string{"-mdns-disable-ipv6"}, func(c *Config) { c.MDNS.DisableIPv6 = true }},
	"enable_syslog":       {`true`, `true`, []string{"-syslog"}, func(c *Config) { c.EnableSyslog = true }},
	"syslog_facility":     {`"LOCAL3"`, `"LOCAL3"`, nil, func(c *Config) { c.SyslogFacility = "LOCAL3" }},
	"broadcast_timeout":   {`"9s"`, `"9s"`, []string{"-broadcast-timeout", "9s"}, func(c *Config) { c.BroadcastTimeout = 9 * time.Second }},
	"log_level":           {`"debug"`, `"debug"`, []string{"-log-level", "debug"}, func(c *Config) { c.LogLevel = "debug" }},
	"log_format":          {`"json"`, `"json"`, []string{"-log-format", "json"}, func(c *Config) { c.LogFormat = "json" }},
	"leave_on_terminate":  {`true`, `true`, nil, func(c *Config) { c.LeaveOnTerminate = true }},
	"skip_leave_on_interrupt": {`true`, `true`, nil,
		func(c *Config) { c.SkipLeaveOnInterrupt = true }},
	"reconnect_interval":      {`"1s"`, `"1s"`, nil, func(c *Config) { c.ReconnectInterval = time.Second }},
	"cluster":                 {`"prod"`, `"prod"`, []string{"-cluster", "prod"}, func(c *Config) { c.Cluster = "prod" }},
	"heal_interval":           {`"0s"`, `"0s"`, nil, func(c *Config) { c.HealInterval = 0 }},
	"reclaim_timeout":         {`"1m"`, `"1m"`, nil, func(c *Config) { c.ReclaimTimeout = time.Minute }},
	"reconnect_timeout":       {`"1h"`, `"1h"`, nil, func(c *Config) { c.ReconnectTimeout = time.Hour }},
	"tombstone_timeout":       {`"1h"`, `"1h"`, nil, func(c *Config) { c.TombstoneTimeout = time.Hour }},
	"flap_half_life":          {`"0s"`, `"0s"`, nil, func(c *Config) { c.FlapHalfLife = 0 }},
	"disable_name_resolution": {`true`, `true`, nil, func(c *Config) { c.DisableNameResolution = true }},
	"query_size_limit":        {`10`, `10`, nil, func(c *Config) { c.QuerySizeLimit = 10 }},
	"query_response_size_limit": {`10`, `10`, nil,
		func(c *Config) { c.QueryResponseSizeLimit = 10 }},
	"user_event_size_limit":   {`10`, `10`, nil, func(c *Config) { c.UserEventSizeLimit = 10 }},
	"statsite_addr":           {`"a:1"`, `"a:1"`, nil, func(c *Config) { c.StatsiteAddr = "a:1" }},
	"statsd_addr":             {`"a:1"`, `"a:1"`, nil, func(c *Config) { c.StatsdAddr = "a:1" }},
	"disable_coordinates":     {`true`, `true`, nil, func(c *Config) { c.DisableCoordinates = true }},
	"validate_node_names":     {`true`, `true`, nil, func(c *Config) { c.ValidateNodeNames = true }},
	"enable_compression":      {`false`, `false`, []string{"-disable-compression"}, func(c *Config) { c.EnableCompression = false }},
	"MsgpackUseNewTimeFormat": {`true`, `true`, nil, func(*Config) {}},
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parse runs a command line through a flag set as the agent command does.
func parse(args ...string) (Config, error) {
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	src := Flags(fs)
	if err := fs.Parse(args); err != nil {
		return Config{}, err
	}
	return src.Load()
}

// TestEverySetting gives each key in JSON, in HCL, in another case, and as a flag.
func TestEverySetting(t *testing.T) {
	t.Parallel()
	for _, s := range settings {
		if s.key != "" && keyCases[s.key].want == nil {
			t.Errorf("setting %q has no test case", s.key)
		}
		if s.help == "" || strings.Contains(s.help, "\n") {
			t.Errorf("setting %q wants one line of help", s.key)
		}
	}
	for key, tc := range keyCases {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			want := Default()
			tc.want(&want)
			check := func(form string, got Config, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", form, err)
				} else if !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %+v\nwant %+v", form, got, want)
				}
			}
			group, name, nested := strings.Cut(key, ".")
			json, hcl := fmt.Sprintf(`{%q: %s}`, key, tc.json), key+" = "+tc.hcl
			if nested {
				json, hcl = fmt.Sprintf(`{%q: {%q: %s}}`, group, name, tc.json), group+" {\n"+name+" = "+tc.hcl+"\n}"
			}
			for form, file := range map[string]string{
				"json":            write(t, "c.json", json),
				"json, odd case":  write(t, "c.json", strings.Replace(json, key, strings.ToUpper(key), 1)),
				"json, then text": write(t, "c.json", json+"\ntrailing rubbish"),
				"hcl":             write(t, "c.hcl", hcl),
				"hcl, odd case":   write(t, "c.hcl", strings.ToUpper(key[:1])+hcl[1:]),
			} {
				got := Default()
				err := Load(&got, file)
				check(form, got, err)
			}
			if tc.flags != nil {
				got, err := parse(tc.flags...)
				check("flag", got, err)
			}
			if s, _ := find(key); (s.flag == "") != (tc.flags == nil) && key != "enable_compression" {
				t.Errorf("the table of settings and that of the test do not agree about a flag")
			}
		})
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	first := write(t, "a.json", `{
		"node_name": "one", "bind": "1.1.1.1", "protocol": 3, "retry_interval": "40s", "replay_on_join": true,
		"tags": {"a": "1", "b": "1"}, "start_join": ["x"], "retry_join": ["x"], "event_handlers": ["x"],
		"enable_compression": false, "dns_addr": "127.0.0.1:1", "dns_node_ttl": "3s", "interface": null}`)
	second := write(t, "b.hcl", `
		node_name = ""
		protocol = 0
		retry_interval = "0s"
		replay_on_join = false
		tags = { b = "2", c = "2" }
		start_join = ["y"]
		event_handlers = ["y", "x"]
		enable_compression = true
		dns_addr = ""
		dns_node_ttl = "0s"`)
	got, err := parse("-config-file", first, "-tag", "c=3", "-join", "z", "-retry-join=z", "-event-handler", "z",
		"-replay=false", "-bind", "", "-node", "three", "-config-file", second, "-disable-compression=true")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.NodeName, want.Bind, want.Protocol, want.RetryInterval, want.ReplayOnJoin = "three", "1.1.1.1", 3, 40*time.Second, true
	want.Tags = map[string]string{"a": "1", "b": "2", "c": "3"}
	want.StartJoin, want.RetryJoin, want.EventHandlers = []string{"x", "y", "z"}, []string{"x", "z"}, []string{"x", "y", "x", "z"}
	want.EnableCompression, want.DNSAddr, want.DNSAddrSet, want.DNSNodeTTL = false, "", true, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"20.json":         `{"start_join": ["20"]}`,
		"10.hcl":          `start_join = ["10"]`,
		"30.conf":         `not read`,
		"40.JSON":         `not read`,
		"sub.json/x.json": `{"start_join": ["never"]}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := parse("-config-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"10", "20"}; !slices.Equal(got.StartJoin, want) {
		t.Errorf("got %v, want %v", got.StartJoin, want)
	}
}

// TestHCL checks what the language offers beyond what each setting needs.
func TestHCL(t *testing.T) {
	t.Parallel()
	got, want := Default(), Default()
	err := Load(&got, write(t, "c.hcl", `
		/* a comment
		   of two lines */ node_name = "a\"\u00e9\n" // and a
		# third
		tags { "web 1" = "ü", b = "" c = "1" }
		event_handlers = [
			"echo $HOME ${HOME} $${X:-"y\n"} >> x", # all for the shell
			"b",
		]
		protocol = -0.4e1, bind = ""`))
	want.NodeName, want.Protocol = "a\"é\n", -4
	want.Tags = map[string]string{"web 1": "ü", "b": "", "c": "1"}
	want.EventHandlers = []string{`echo $HOME ${HOME} $${X:-"y\n"} >> x`, "b"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	windows := Default()
	if err := Load(&windows, write(t, "w.hcl", "# x\r\nprotocol = 3\r\nmdns {\r\n}\r\n")); err != nil || windows.Protocol != 3 {
		t.Errorf("line ends of Windows: %d, %v", windows.Protocol, err)
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, content, want string }{
		"unknown key":          {"c.json", "{\n\"node_name\": \"a\",\n\"bogus_key\": 1}", "line 3: invalid keys: bogus_key (no such setting)"},
		"removed key":          {"c.json", `{"leave_on_interrupt": true}`, "line 1: invalid keys: leave_on_interrupt (no such setting)"},
		"nested unknown":       {"c.json", `{"mdns": {"x": 1}}`, "line 1: invalid keys: mdns.x (no such setting)"},
		"number for string":    {"c.json", `{"node_name": 5}`, "line 1: 'node_name' expected a string, got a number"},
		"number for tag":       {"c.json", `{"tags": {"port": 80}}`, "line 1: 'tags[port]' expected a string, got a number"},
		"number for duration":  {"c.json", `{"retry_interval": 30}`, `line 1: 'retry_interval' expected a duration in quotes such as "30s", got a number`},
		"bad duration":         {"c.json", `{"retry_interval": "soon"}`, `line 1: 'retry_interval' expected a duration such as "30s": time: invalid duration "soon"`},
		"string for number":    {"c.json", `{"protocol": "4"}`, "line 1: 'protocol' expected a whole number, got a string"},
		"huge number":          {"c.json", `{"protocol": 1e300}`, "line 1: 'protocol' is too large: 1e+300"},
		"string for bool":      {"c.json", `{"enable_syslog": "yes"}`, "line 1: 'enable_syslog' expected true or false, got a string"},
		"string for list":      {"c.json", `{"start_join": "a"}`, "line 1: 'start_join' expected a list of strings, got a string"},
		"number in list":       {"c.json", `{"start_join": ["a", 1]}`, "line 1: 'start_join[1]' expected a string, got a number"},
		"list for table":       {"c.json", `{"tags": []}`, "line 1: 'tags' expected an object of strings, got a list"},
		"secret stays secret":  {"c.json", `{"rpc_auth": ["hunter2"]}`, "line 1: 'rpc_auth' expected a string, got a list"},
		"twice":                {"c.json", `{"bind": "a", "Bind": "b"}`, "line 1: 'Bind' is given twice"},
		"not an object":        {"c.json", `[]`, "line 1: expected a JSON object"},
		"empty":                {"c.json", ``, "line 1: unexpected end of JSON input"},
		"cut off":              {"c.json", "{\"bind\":\n\"a\",", "line 2: unexpected end of JSON input"},
		"syntax":               {"c.json", "{\n\"bind\" \"a\"}", "line 2: expected colon after object key"},
		"hcl unknown key":      {"c.hcl", "\nbogus = 1", "line 2: invalid keys: bogus (no such setting)"},
		"hcl number for text":  {"c.hcl", "node_name = 5", "line 1: 'node_name' expected a string, got a number"},
		"hcl without quotes":   {"c.hcl", "\n\nrpc_auth = hunter2", "line 3: expected a value, got a word without quotes"},
		"hcl without equals":   {"c.hcl", "rpc_auth \"hunter2\"", "line 1: expected '=' or '{' after the key \"rpc_auth\", got a string"},
		"hcl no value":         {"c.hcl", "# x\nbind = # y\n", "line 3: expected a value, got the end of the file"},
		"hcl label":            {"c.hcl", "tags \"x\" {\n}", "line 1: expected '=' or '{' after the key \"tags\", got a string"},
		"hcl number as key":    {"c.hcl", "1 = 1", "line 1: expected a key, got a number"},
		"hcl nested":           {"c.hcl", "tags {\nx {\n}\n}", "line 1: 'tags[x]' expected a string, got an object"},
		"hcl twice":            {"c.hcl", "bind = \"a\"\nBind = \"b\"", "line 2: 'Bind' is given twice"},
		"hcl tag twice":        {"c.hcl", "tags {\na = \"1\"\n\"a\" = \"2\"\n}", "line 3: \"a\" is given twice"},
		"hcl octal":            {"c.hcl", "protocol = 010", "line 1: a number is written differently here"},
		"hcl huge number":      {"c.hcl", "protocol = 1e999", "line 1: a number is written differently here or is too large"},
		"hcl heredoc":          {"c.hcl", "bind = <<E\na\nE\n", "line 1: expected a value, got a heredoc (write a string in quotes)"},
		"hcl open object":      {"c.hcl", "tags {\n\"a\" = \"b\"\n", "line 3: expected a key, got the end of the file"},
		"hcl open list":        {"c.hcl", "start_join = [\"a\"", "line 1: expected ',' or ']' in a list, got the end of the file"},
		"hcl no comma":         {"c.hcl", "start_join = [\"a\" \"b\"]", "line 1: expected ',' or ']' in a list, got a string"},
		"hcl open string":      {"c.hcl", "\nbind = \"a\nrole = \"b\"", "line 2: literal not terminated"},
		"hcl escape":           {"c.hcl", `bind = "\q"`, "line 1: illegal char escape"},
		"hcl late escape":      {"c.hcl", `bind = "\U00110000"`, "line 1: a string has an escape that HCL does not know"},
		"hcl character":        {"c.hcl", "bind = 'a'", "line 1: illegal char"},
		"hcl no text":          {"c.hcl", "bind = \"\xff\"", "line 1: illegal UTF-8 encoding"},
		"hcl open comment":     {"c.hcl", "/* x", "line 1: comment not terminated"},
		"hcl depth":            {"c.hcl", "start_join = " + strings.Repeat("[", 1e6), "line 1: lists and objects are nested more than 16 deep"},
		"hcl block for a text": {"c.hcl", "bind {\n}", "line 1: 'bind' expected a string, got an object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tc.file, tc.content)
			c := Default()
			err := Load(&c, path)
			want := fmt.Sprintf("error decoding '%s': %s", path, tc.want)
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if !reflect.DeepEqual(c, Default()) {
				t.Errorf("a bad file changed the configuration: %+v", c)
			}
		})
	}
	c := Default()
	missing := filepath.Join(t.TempDir(), "none.json")
	if err := Load(&c, missing); err == nil || err.Error() != "error reading '"+missing+"': no such file or directory (check -config-file and -config-dir)" {
		t.Errorf("missing file: %v", err)
	}
}

func TestFlagErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-nope"}, "flag provided but not defined: -nope"},
		{[]string{"-bind"}, "flag needs an argument: -bind"},
		{[]string{"-protocol", "x"}, `invalid value "x" for flag -protocol: expected a whole number`},
		{[]string{"-retry-interval", "5"}, `invalid value "5" for flag -retry-interval: expected a duration such as "30s"`},
		{[]string{"-replay=perhaps"}, `invalid boolean value "perhaps" for -replay: expected true or false`},
		{[]string{"-tag", "novalue"}, "error: Invalid tag: 'novalue' (write -tag KEY=VALUE)"},
		{[]string{"-dns-service", "web"}, `-dns-service is "web", but must be NAME=VALUE`},
		{[]string{"-tag", "=v"}, "error: Invalid tag: '=v' (write -tag KEY=VALUE)"},
	} {
		if _, err := parse(tc.args...); err == nil || err.Error() != tc.want {
			t.Errorf("%v:\n got %v\nwant %s", tc.args, err, tc.want)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Role, c.Tags = "new", map[string]string{"role": "old", "x": "y"}
	c.RetryInterval, c.BroadcastTimeout, c.RejoinAfterLeave, c.Protocol = time.Millisecond, -1, true, -3
	c.LogLevel, c.DNSZone = "error", "corp.example"
	warnings, err := c.Complete()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Deprecation warning: 'Role' has been replaced with 'Tags'",
		"Warning: 'RetryInterval' is too low. Setting to 1s",
		"Warning: 'BroadcastTimeout' is too low. Setting to 1s",
		"Warning: 'RejoinAfterLeave' enabled without snapshot file",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if c.NodeName != host || c.Tags["role"] != "new" || c.Tags["x"] != "y" || c.RetryInterval != time.Second ||
		c.BroadcastTimeout != time.Second || c.Protocol != 5 || c.LogLevel != "ERR" || c.DNSZone != "corp.example." {
		t.Errorf("completed: %+v", c)
	}
	again := c.Clone()
	again.RejoinAfterLeave = false
	c.RejoinAfterLeave = false
	if warnings, err := again.Complete(); err != nil || len(warnings) != 0 || !reflect.DeepEqual(again, c) {
		t.Errorf("completing twice: %v %v %+v", warnings, err, again)
	}
}

func TestCompleteErrors(t *testing.T) {
	t.Parallel()
	const key16 = "AAECAwQFBgcICQoLDA0ODw=="
	for want, change := range map[string]func(*Config){
		"invalid tag: the key is empty": func(c *Config) { c.Tags[""] = "x" },
		"tags config not allowed while using tag files (drop the tags or -tags-file)": func(c *Config) {
			c.TagsFile, c.Tags = "f", map[string]string{"a": "b"}
		},
		"encryption key not allowed while using a keyring (drop encrypt_key or keyring_file)": func(c *Config) {
			c.KeyringFile, c.EncryptKey = "f", key16
		},
		"invalid encryption key: not standard base64: illegal base64 data at input byte 3 (make one with 'gossip keygen')": func(c *Config) { c.EncryptKey = "abc!" },
		"invalid encryption key: key size must be 16, 24 or 32 bytes, not 3 (make one with 'gossip keygen')":               func(c *Config) { c.EncryptKey = "YWJj" },
		"protocol version '6' too high. Must be in range: [2, 5]":                                                          func(c *Config) { c.Protocol = 6 },
		"protocol version '1' too low. Must be in range: [2, 5]":                                                           func(c *Config) { c.Protocol = 1 },
		"unknown profile: moon (one of lan, wan, local, serf-lan, serf-wan, serf-local)":                                   func(c *Config) { c.Profile = "moon" },
		"invalid log level: FOO. Valid log levels are: [TRACE DEBUG INFO WARN ERR]":                                        func(c *Config) { c.LogLevel = "foo" },
		"invalid log format: xml (one of text, json)":                                                                      func(c *Config) { c.LogFormat = "xml" },
		"Invalid event script: Event 'nope' invoking 'x.sh' (write [FILTER=]COMMAND; FILTER is a list of member-join, member-leave, " +
			"member-failed, member-update, member-reap, user, user:NAME, query, query:NAME, with commas between, or *)": func(c *Config) { c.EventHandlers = []string{"user,nope=x.sh"} },
		"mDNS interface specified without enabling mDNS discovery (add -discover)": func(c *Config) { c.MDNS.Interface = "lo" },
		"invalid mDNS configuration: both IPv4 and IPv6 are disabled": func(c *Config) {
			c.Discover, c.MDNS.DisableIPv4, c.MDNS.DisableIPv6 = "d", true, true
		},
		"user_event_size_limit is 9217, above its limit of 9216 bytes":                                          func(c *Config) { c.UserEventSizeLimit = 9217 },
		"retry_max_attempts is -1, but must not be negative":                                                    func(c *Config) { c.RetryMaxAttempts = -1 },
		"reconnect_interval is -1ns, but must be above zero":                                                    func(c *Config) { c.ReconnectInterval = -1 },
		"heal_interval is -1s, but must not be negative (0 turns healing off)":                                  func(c *Config) { c.HealInterval = -time.Second },
		`cluster name "a\nb" must be at most 255 bytes of printable text`:                                       func(c *Config) { c.Cluster = "a\nb" },
		`cluster name "` + strings.Repeat("x", 256) + `" must be at most 255 bytes of printable text`:           func(c *Config) { c.Cluster = strings.Repeat("x", 256) },
		"handler_timeout is -1s, but must not be negative (0 sets no limit)":                                    func(c *Config) { c.HandlerTimeout = -time.Second },
		"flap_half_life is -1s, but must not be negative (0 turns damping off)":                                 func(c *Config) { c.FlapHalfLife = -time.Second },
		"dns_stale_limit is -1s, but must not be negative (0 drops failed members at once)":                     func(c *Config) { c.DNSStaleLimit = -time.Second },
		"dns_order is \"x\", but must be one of random, stable, nearest":                                        func(c *Config) { c.DNSOrder = "x" },
		"dns_answers is -1, but must not be negative (0 gives all)":                                             func(c *Config) { c.DNSAnswers = -1 },
		"dns_nearest_band is -1s, but must not be negative":                                                     func(c *Config) { c.DNSNearestBand = -time.Second },
		"dns_services: web: \"weight=1\" is none of ttl=TIME, order=ORDER, answers=N":                           func(c *Config) { c.DNSServices["web"] = "ttl=1s,weight=1" },
		"dns_services: web: \"ttl=soon\": time: invalid duration \"soon\"":                                      func(c *Config) { c.DNSServices["web"] = "ttl=soon" },
		"dns_services: web: ttl is 1.5s, but must be whole seconds from 0s to 2147483647s (RFC 2181 section 8)": func(c *Config) { c.DNSServices["web"] = "ttl=1.5s" },
		"dns_services: web: order is \"far\", but must be one of random, stable, nearest":                       func(c *Config) { c.DNSServices["web"] = "order=far" },
		"dns_reverse: \"10.0.0.0\" is not a network such as 10.0.0.0/8":                                         func(c *Config) { c.DNSReverse = []string{"10.0.0.0"} },
		"node name is 200 characters. Valid length is between 1 and 128 characters":                             func(c *Config) { c.ValidateNodeNames, c.NodeName = true, strings.Repeat("x", 200) },
		`node name contains invalid characters "a b". Valid characters include all alpha-numerics, dashes and '.'`: func(c *Config) {
			c.ValidateNodeNames, c.NodeName = true, "a b"
		},
		"DNS over TLS wants dns_tls_cert and dns_tls_key, the files of a certificate and its key":           func(c *Config) { c.DNS.TLSAddr = "127.0.0.1:853" },
		"dns_udp_size is 500, but must be 512 to 65535 bytes":                                               func(c *Config) { c.DNS.UDPSize = 500 },
		"dns_max_connections is -1, but must be at least 1":                                                 func(c *Config) { c.DNS.MaxConnections = -1 },
		"dns_rate_slip is -1, but must be at least 0":                                                       func(c *Config) { c.DNS.RateSlip = -1 },
		"dns_idle_timeout is -1s, but must be above zero":                                                   func(c *Config) { c.DNS.IdleTimeout = -time.Second },
		`dns_cookies is "no", but must be one of on, off, require`:                                          func(c *Config) { c.DNS.Cookies = "no" },
		`dns_rate_exempt: "10.0.0.0/33" is not a network such as 10.0.0.0/8, nor an address, nor "private"`: func(c *Config) { c.DNS.RateExempt = "private, 10.0.0.0/33" },
		"dns_nsid has 129 bytes, but may have 128 at most":                                                  func(c *Config) { c.DNS.NSID = strings.Repeat("x", 129) },
		"dns_node_ttl is 1.5s, but must be whole seconds from 0s to 2147483647s (RFC 2181 section 8)":       func(c *Config) { c.DNSNodeTTL = 1500 * time.Millisecond },
	} {
		c := Default()
		c.NodeName = "n"
		change(&c)
		if _, err := c.Complete(); err == nil || err.Error() != want {
			t.Errorf(" got %v\nwant %s", err, want)
		}
	}
}

func TestSecretKey(t *testing.T) {
	t.Parallel()
	for text, size := range map[Secret]int{
		"":                                 0,
		"AAECAwQFBgcICQoLDA0ODw==":         16,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX": 24,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=": 32,
	} {
		key, err := Config{EncryptKey: text}.SecretKey()
		if err != nil || len(key) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(key), err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := Default()
	c.EncryptKey, c.RPCAuth = "hunter2", "hunter2"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if out := fmt.Sprintf(verb, c); strings.Contains(out, "hunter2") {
			t.Errorf("%s shows a secret: %s", verb, out)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	old, next := Default(), Default()
	next.LogLevel, next.EventHandlers, next.Tags = "DEBUG", []string{"x"}, map[string]string{"a": "b"}
	next.LeaveOnTerminate, next.SkipLeaveOnInterrupt = true, true
	next.DNS.TLSCert, next.DNS.TLSKey, next.DNS.CookieFile, next.DNS.SigningKeys = "c", "k", "f", []string{"s"}
	next.Outward = Outward{Keys: "t", UpdateKey: "u", UpdateOwner: old.Outward.UpdateOwner, Transfer: []string{"x"}, Notify: []string{"n"}}
	want := next.Clone()
	if kept := old.Kept(next); kept != nil {
		t.Errorf("kept %v though all is taken over", kept)
	}
	next.NodeName, next.Bind, next.EncryptKey, next.EnableCompression = "other", "1.2.3.4", "k", false
	next.DNSReverse, next.DNSServices = []string{"10.0.0.0/8"}, map[string]string{"web": "ttl=1s"}
	if got := old.Reload(next); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	kept := []string{"node_name", "bind", "encrypt_key", "dns_services", "dns_reverse", "enable_compression"}
	if got := old.Kept(next); !slices.Equal(got, kept) {
		t.Errorf("kept %v, want %v", got, kept)
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := PrintFlags(&b); err != nil {
		t.Fatal(err)
	}
	for _, name := range FlagNames() {
		if !strings.Contains(b.String(), "\n  -"+name+" ") && !strings.HasPrefix(b.String(), "  -"+name+" ") {
			t.Errorf("no help for -%s", name)
		}
	}
}
