package config

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// optionsPattern is for text that becomes part of one directive: words, but nothing that ends it.
var optionsPattern = regexp.MustCompile(`^[^;{}#\r\n]*$`)

// kinds are what can be said of a target of each kind besides file and vars.
var kinds = map[string]struct{ attrs, blocks []string }{
	KindHAProxy:   {[]string{"config", "state_file"}, []string{"runtime", "reload", "backend name"}},
	KindNginx:     {[]string{"config", "section", "precheck"}, []string{"reload", "upstream name"}},
	KindTwemproxy: {nil, []string{"restart", "pool name"}},
	KindTemplate:  {[]string{"services"}, []string{"reload"}},
}

func (d *decoder) target(blk *hcl.Block, cfg *Config) Target {
	t := Target{Kind: blk.Labels[0], Name: d.label(blk, 1)}
	kind, ok := kinds[t.Kind]
	if !ok {
		d.fault(blk.LabelRanges[0], "target kind %q is unknown; known are %q, %q, %q and %q", t.Kind, KindHAProxy, KindNginx, KindTwemproxy, KindTemplate)
		return t
	}
	b := d.read(blk.Body, blk.DefRange, append(kind.attrs, "vars"), append(kind.blocks, "file"))
	t.Vars = b.stringMap("vars")
	for i, f := range b.blocks["file"] {
		if i > 0 && t.Kind != KindTemplate {
			d.fault(f.DefRange, "a second file block; a target of kind %s has one", t.Kind)
		}
		t.Files = append(t.Files, d.file(f, t.Kind))
	}
	if len(t.Files) == 0 {
		d.fault(blk.DefRange, "target %s has no file block; add: file { dest = \"...\" }", t.ID())
	}
	if r, ok := b.single("reload"); ok {
		t.Reload = d.reload(r, t.Kind)
	}

	use := func(at hcl.Range, what, service string) {
		if service == "" {
			return // a fault already
		}
		if !slices.ContainsFunc(cfg.Services, func(s Service) bool { return s.Name == service }) {
			d.fault(at, "%s: there is no service %q", what, service)
		}
		t.Services = append(t.Services, service)
	}
	switch t.Kind {
	case KindHAProxy:
		t.HAProxy = d.haproxy(b, t)
		for i, be := range t.HAProxy.Backends {
			use(b.blocks["backend"][i].DefRange, quoted("backend", be.Name), be.Service)
		}
	case KindNginx:
		t.Nginx = d.nginx(b)
		for i, up := range t.Nginx.Upstreams {
			use(b.blocks["upstream"][i].DefRange, quoted("upstream", up.Name), up.Service)
		}
	case KindTwemproxy:
		t.Twemproxy = &Twemproxy{}
		if r, ok := b.single("restart"); ok {
			t.Reload, t.Twemproxy.Stats = d.restart(r)
		}
		d.each(b, "pool", func(blk *hcl.Block) { t.Twemproxy.Pools = append(t.Twemproxy.Pools, d.pool(blk)) })
		for i, p := range t.Twemproxy.Pools {
			use(b.blocks["pool"][i].DefRange, quoted("pool", p.Name), p.Service)
		}
	case KindTemplate:
		for _, name := range b.list("services") {
			use(b.where("services"), "services", name)
		}
		if len(t.Services) == 0 && !d.diags.HasErrors() {
			d.fault(b.where("services"), "target %s uses no service; add: services = [\"web\"]", t.ID())
		}
	}
	slices.Sort(t.Services)
	t.Services = slices.Compact(t.Services)
	return t
}

func quoted(what, name string) string { return what + ` "` + name + `"` }

// each calls read for the blocks of a type, of which there must be one, all with names of their own.
func (d *decoder) each(b block, kind string, read func(*hcl.Block)) {
	if len(b.blocks[kind]) == 0 {
		d.fault(b.at, "there is no %s block", kind)
	}
	seen := map[string]bool{}
	for _, blk := range b.blocks[kind] {
		if name := d.label(blk, 0); seen[name] {
			d.fault(blk.DefRange, "a second %s %q", kind, name)
		} else {
			seen[name] = true
		}
		read(blk)
	}
}

func (d *decoder) file(blk *hcl.Block, kind string) File {
	b := d.read(blk.Body, blk.DefRange, []string{"dest", "template", "mode", "user", "group", "backups", "adopt", "allow_inplace", "check", "check_installed", "check_timeout"}, nil)
	b.required("dest")
	if kind == KindTemplate {
		b.required("template")
	}
	f := File{
		Dest:      b.path("dest", ""),
		Template:  b.path("template", ""),
		Mode:      b.mode("mode"),
		User:      b.text("user", ""),
		Group:     b.text("group", ""),
		Backups:   b.integer("backups", 0, 0, 100),
		Adopt:     b.flag("adopt"),
		InPlace:   b.flag("allow_inplace"),
		Check:     b.command("check"),
		Installed: b.command("check_installed"),
		Timeout:   b.duration("check_timeout", DefaultCheckTimeout, 100*time.Millisecond, time.Hour),
	}
	if len(f.Check) > 0 && !strings.Contains(strings.Join(f.Check, "\x00"), CandidateArg) {
		d.fault(b.where("check"), "check never names the candidate; put %s where its path belongs, or use check_installed", CandidateArg)
	}
	return f
}

func (d *decoder) reload(blk *hcl.Block, kind string) Reload {
	b := d.read(blk.Body, blk.DefRange, []string{"master", "command", "pid_file", "signal", "timeout", "min_interval", "burst", "group", "at_once", "patience", "on_silence"}, nil)
	if b.has("master") && kind != KindHAProxy {
		d.fault(b.where("master"), "master is for haproxy; give command or pid_file")
	}
	r := Reload{
		Master:      b.path("master", ""),
		Command:     b.command("command"),
		PIDFile:     b.path("pid_file", ""),
		Timeout:     b.duration("timeout", reloadTimeout(kind), 100*time.Millisecond, time.Hour),
		MinInterval: b.duration("min_interval", DefaultMinInterval, 0, day),
		Burst:       b.integer("burst", DefaultBurst, 1, 100),
		Group:       b.group(),
	}
	switch {
	case r.Master == "" && len(r.Command) == 0 && r.PIDFile == "":
		d.fault(blk.DefRange, "reload says nothing to do: give %s", waysToReload(kind))
	case r.Master != "" && (len(r.Command) > 0 || r.PIDFile != ""):
		d.fault(blk.DefRange, "reload has master beside another way; keep one")
	}
	if len(r.Command) == 0 && r.PIDFile != "" {
		fallback := "HUP"
		if kind == KindHAProxy {
			fallback = "USR2"
		}
		r.Signal = b.oneOf("signal", fallback, "HUP", "USR2")
	} else if b.has("signal") {
		d.fault(b.where("signal"), "signal has no effect here; it goes with pid_file alone")
	}
	return r
}

func reloadTimeout(kind string) time.Duration {
	if kind == KindNginx {
		return DefaultNginxReloadTimeout
	}
	return DefaultReloadTimeout
}

// group reads what reload and restart say of taking turns.
func (b block) group() Group {
	g := Group{Name: b.text("group", "")}
	if g.Name == "" {
		for _, name := range []string{"at_once", "patience", "on_silence"} {
			if b.has(name) {
				b.d.fault(b.where(name), "%s has no effect without group", name)
			}
		}
		return g
	}
	if !labelPattern.MatchString(g.Name) {
		b.d.fault(b.where("group"), "group is %q; want up to 63 letters, digits, and _ . - beginning with a letter or digit", g.Name)
	}
	g.AtOnce = b.integer("at_once", DefaultAtOnce, 1, 1000)
	g.Patience = b.duration("patience", DefaultPatience, time.Second, day)
	g.Closed = b.oneOf("on_silence", "proceed", "proceed", "wait") == "wait"
	return g
}

func waysToReload(kind string) string {
	if kind == KindHAProxy {
		return "master, command or pid_file"
	}
	return "command or pid_file"
}

func (d *decoder) haproxy(b block, t Target) *HAProxy {
	h := &HAProxy{Main: b.path("config", ""), StateFile: b.path("state_file", "")}
	if h.Main == "" && len(t.Files) > 0 && t.Files[0].Check == nil {
		d.fault(b.at, "target %s needs config, the path of the main haproxy.cfg, to check a candidate together with it; or file { check = [...] }", t.ID())
	}
	if r, ok := b.single("runtime"); ok {
		c := d.read(r.Body, r.DefRange, []string{"socket", "timeout", "keep_manual", "without_file"}, nil)
		h.Runtime.Socket = c.required("socket")
		if _, port, err := net.SplitHostPort(h.Runtime.Socket); err != nil || !isPort(port) {
			h.Runtime.Socket = c.path("socket", "")
		}
		h.Runtime.Timeout = c.duration("timeout", DefaultRuntimeTimeout, 10*time.Millisecond, time.Minute)
		h.Runtime.WithoutFile = c.flag("without_file")
		for _, what := range c.list("keep_manual") {
			switch what {
			case "weight":
				h.Runtime.KeepWeight = true
			case "state":
				h.Runtime.KeepState = true
			default:
				d.fault(c.where("keep_manual"), "keep_manual: %q is unknown; known are \"weight\" and \"state\"", what)
			}
		}
	}
	d.each(b, "backend", func(blk *hcl.Block) {
		h.Backends = append(h.Backends, d.backend(blk, h.Runtime.Socket != ""))
	})
	return h
}

// haproxySections are the words that end a backend of HAProxy, up to 3.2.
var haproxySections = []string{"acme", "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen",
	"log-forward", "log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist"}

func (d *decoder) backend(blk *hcl.Block, runtime bool) Backend {
	b := d.read(blk.Body, blk.DefRange, []string{"service", "mode", "balance", "options", "lines", "servers", "slots", "probation"}, nil)
	be := Backend{
		Name:      blk.Labels[0],
		Service:   b.required("service"),
		Mode:      b.oneOf("mode", "http", "http", "tcp"),
		Balance:   b.directive("balance", "roundrobin"),
		Options:   b.directive("options", "check"),
		Lines:     b.list("lines"),
		Servers:   ServersFileOnly,
		Probation: true,
	}
	for _, line := range be.Lines {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains(haproxySections, word) {
			d.fault(b.where("lines"), "lines: %q begins another section, which the servers would be in; put it into the main file", line)
		}
	}
	if runtime {
		be.Servers = ServersNamed
	}
	be.Servers = b.oneOf("servers", be.Servers, ServersNamed, ServersSlots, ServersFileOnly)
	if be.Servers != ServersFileOnly && !runtime {
		d.fault(b.where("servers"), "servers = %q needs the Runtime API; add: runtime { socket = \"...\" }", be.Servers)
	}
	if be.Servers == ServersSlots {
		be.Slots = b.integer("slots", DefaultSlots, 1, 10_000)
	} else if b.has("slots") {
		d.fault(b.where("slots"), "slots has no effect without servers = %q", ServersSlots)
	}
	if b.has("probation") {
		be.Probation = b.flag("probation")
	}
	return be
}

func (d *decoder) nginx(b block) *Nginx {
	n := &Nginx{
		Main:     b.path("config", ""),
		Section:  b.oneOf("section", SectionHTTP, SectionHTTP, SectionStream),
		Precheck: b.oneOf("precheck", PrecheckAuto, PrecheckAuto, PrecheckMount, PrecheckWrapper, PrecheckNone),
	}
	d.each(b, "upstream", func(blk *hcl.Block) {
		c := d.read(blk.Body, blk.DefRange, []string{"service", "method", "options", "keepalive", "lines"}, nil)
		n.Upstreams = append(n.Upstreams, Upstream{
			Name:      blk.Labels[0],
			Service:   c.required("service"),
			Method:    c.directive("method", ""),
			Options:   c.directive("options", ""),
			Lines:     c.list("lines"),
			Keepalive: c.integer("keepalive", 0, 1, 1_000_000),
		})
		if c.has("keepalive") && n.Section == SectionStream {
			d.fault(c.where("keepalive"), "keepalive is for the http section; a stream has no connections to keep")
		}
	})
	return n
}

func (d *decoder) restart(blk *hcl.Block) (Reload, string) {
	b := d.read(blk.Body, blk.DefRange, []string{"command", "timeout", "min_interval", "stats", "group", "at_once", "patience", "on_silence"}, nil)
	r := Reload{
		Command:     b.command("command"),
		Timeout:     b.duration("timeout", DefaultReloadTimeout, 100*time.Millisecond, time.Hour),
		MinInterval: b.duration("min_interval", DefaultRestartInterval, 0, day),
		Burst:       1,
		Group:       b.group(),
	}
	if len(r.Command) == 0 {
		d.fault(b.at, "restart needs command, such as [\"systemctl\", \"restart\", \"nutcracker\"]")
	}
	stats := b.text("stats", "")
	if _, port, err := net.SplitHostPort(stats); stats != "" && (err != nil || !isPort(port)) {
		d.fault(b.where("stats"), "stats is %q; want host:port, such as \"127.0.0.1:22222\"", stats)
	}
	return r, stats
}

func (d *decoder) pool(blk *hcl.Block) Pool {
	b := d.read(blk.Body, blk.DefRange, []string{"service", "listen", "redis", "hash", "hash_tag", "distribution", "address", "domain", "settings"}, nil)
	return Pool{
		Name:         blk.Labels[0],
		Service:      b.required("service"),
		Listen:       b.required("listen"),
		Redis:        b.flag("redis"),
		Hash:         b.text("hash", "fnv1a_64"),
		HashTag:      b.text("hash_tag", ""),
		Distribution: b.oneOf("distribution", "ketama", "ketama", "modula", "random"),
		Address:      b.oneOf("address", AddressIP, AddressIP, AddressDNS),
		Domain:       b.text("domain", DefaultDomain),
		Settings:     b.stringMap("settings"),
	}
}

// directive returns text that goes into one directive of the balancer's configuration.
func (b block) directive(name, fallback string) string {
	s := b.text(name, fallback)
	if !optionsPattern.MatchString(s) {
		b.d.fault(b.where(name), "%s is %q; it must be words of one directive, without any of ; { } #", name, s)
		return fallback
	}
	return strings.Join(strings.Fields(s), " ")
}
