package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// optionsPattern is for text that becomes part of one directive: words, but nothing that ends it.
var optionsPattern = regexp.MustCompile(`^[^;{}#\r\n]*$`)

func (d *decoder) target(blk *hcl.Block, cfg *Config) Target {
	t := Target{Kind: blk.Labels[0], Name: d.label(blk, 1)}
	backends := "backend name"
	if t.Kind == KindNginx {
		backends = "upstream name"
	}
	if t.Kind != KindHAProxy && t.Kind != KindNginx {
		d.fault(blk.LabelRanges[0], "target kind %q is unknown; known are %q and %q", t.Kind, KindHAProxy, KindNginx)
		return t
	}
	b := d.read(blk.Body, blk.DefRange, []string{"config"}, []string{"file", "reload", backends})
	t.Main = b.path("config", "")

	if f, ok := b.single("file"); ok {
		t.File = d.file(f)
	} else {
		d.fault(blk.DefRange, "target %s has no file block; add: file { dest = \"...\" }", t.ID())
	}
	if t.Kind == KindHAProxy && t.Main == "" && t.File.Check == nil {
		d.fault(blk.DefRange, "target %s needs config, the path of the main haproxy.cfg, to check a candidate together with it; or file { check = [...] }", t.ID())
	}
	if r, ok := b.single("reload"); ok {
		t.Reload = d.reload(r, t.Kind)
	}

	all := b.blocks[strings.Fields(backends)[0]]
	if len(all) == 0 {
		d.fault(blk.DefRange, "target %s has no %s block", t.ID(), strings.Fields(backends)[0])
	}
	for _, bb := range all {
		be := d.backend(bb, t.Kind)
		if be.Service != "" && !slices.ContainsFunc(cfg.Services, func(s Service) bool { return s.Name == be.Service }) {
			d.fault(bb.DefRange, "%s %q: there is no service %q", bb.Type, be.Name, be.Service)
		}
		if slices.ContainsFunc(t.Backends, func(o Backend) bool { return o.Name == be.Name }) {
			d.fault(bb.DefRange, "a second %s %q", bb.Type, be.Name)
		}
		t.Backends = append(t.Backends, be)
	}
	return t
}

func (d *decoder) file(blk *hcl.Block) File {
	b := d.read(blk.Body, blk.DefRange, []string{"dest", "template", "mode", "adopt", "check", "check_installed", "check_timeout"}, nil)
	b.required("dest")
	f := File{
		Dest:      b.path("dest", ""),
		Template:  b.path("template", ""),
		Mode:      b.mode("mode"),
		Adopt:     b.flag("adopt"),
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
	b := d.read(blk.Body, blk.DefRange, []string{"master", "command", "pid_file", "signal", "timeout", "min_interval"}, nil)
	r := Reload{
		Master:      b.path("master", ""),
		Command:     b.command("command"),
		PIDFile:     b.path("pid_file", ""),
		Timeout:     b.duration("timeout", DefaultReloadTimeout, 100*time.Millisecond, time.Hour),
		MinInterval: b.duration("min_interval", DefaultMinInterval, 0, day),
	}
	switch {
	case r.Master == "" && len(r.Command) == 0 && r.PIDFile == "":
		d.fault(blk.DefRange, "reload says nothing to do: give %s", waysToReload(kind))
	case r.Master != "" && kind != KindHAProxy:
		d.fault(b.where("master"), "master is for haproxy; give command or pid_file")
	case r.Master != "" && (len(r.Command) > 0 || r.PIDFile != ""):
		d.fault(blk.DefRange, "reload has master beside another way; keep one")
	}
	if len(r.Command) == 0 && r.PIDFile != "" {
		r.Signal = b.oneOf("signal", map[string]string{KindHAProxy: "USR2", KindNginx: "HUP"}[kind], "HUP", "USR2")
	} else if b.has("signal") {
		d.fault(b.where("signal"), "signal has no effect here; it goes with pid_file alone")
	}
	return r
}

func waysToReload(kind string) string {
	if kind == KindHAProxy {
		return "master, command or pid_file"
	}
	return "command or pid_file"
}

func (d *decoder) backend(blk *hcl.Block, kind string) Backend {
	be := Backend{Name: d.label(blk, 0)}
	if kind == KindHAProxy {
		b := d.read(blk.Body, blk.DefRange, []string{"service", "mode", "balance", "options", "lines"}, nil)
		be.Service = b.required("service")
		be.Mode = b.oneOf("mode", "http", "http", "tcp")
		be.Balance = b.directive("balance", "roundrobin")
		be.Options = b.directive("options", "check")
		be.Lines = b.list("lines")
		return be
	}
	b := d.read(blk.Body, blk.DefRange, []string{"service", "method", "options", "keepalive", "lines"}, nil)
	be.Service = b.required("service")
	be.Balance = b.directive("method", "")
	be.Options = b.directive("options", "")
	be.Keepalive = b.integer("keepalive", 0, 1, 1_000_000)
	be.Lines = b.list("lines")
	return be
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
