package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/lbsync/internal/desired"
)

const day = 24 * time.Hour

// labelPattern is what a label of ours may look like: labels become names of files in the state folder.
var labelPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Load reads and checks a configuration: files, and folders of them, which are read in the order of the names. A name that
// ends in .json is read as JSON, any other as HCL; of a folder only *.hcl and *.json count. All of them together are
// one configuration. The error has for each fault a line with file and line number, and one with the text at fault.
func Load(paths ...string) (*Config, error) {
	files, err := list(paths)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var all []text
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		all = append(all, text{path, src})
	}
	cfg, err := parse(all)
	if cfg != nil && len(paths) > 0 {
		cfg.File = strings.Join(paths, " ")
	}
	return cfg, err
}

// list replaces folders by the files in them.
func list(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			out = append(out, path) // reading it will tell what is wrong
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		found := 0
		for _, e := range entries { // sorted by name
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".hcl" || ext == ".json") && !strings.HasPrefix(e.Name(), ".") {
				out = append(out, filepath.Join(path, e.Name()))
				found++
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("%s has no *.hcl and no *.json", path)
		}
	}
	return out, nil
}

// text is a file that was read.
type text struct {
	path string
	src  []byte
}

// Parse does what Load does with the content of one file at hand.
func Parse(path string, src []byte) (*Config, error) { return parse([]text{{path, src}}) }

func parse(texts []text) (*Config, error) {
	parser := hclparse.NewParser()
	var files []*hcl.File
	for _, t := range texts {
		read := parser.ParseHCL
		if strings.HasSuffix(t.path, ".json") {
			read = parser.ParseJSON
		}
		file, diags := read(t.src, t.path)
		if diags.HasErrors() {
			return nil, describe(first(diags), parser.Sources()) // what follows a syntax error follows from it
		}
		files = append(files, file)
	}
	d := &decoder{}
	cfg := d.config(hcl.MergeFiles(files), texts[0].path)
	if d.diags.HasErrors() {
		return nil, describe(d.diags, parser.Sources())
	}
	return cfg, nil
}

// first returns the first of the errors.
func first(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return hcl.Diagnostics{d}
		}
	}
	return nil
}

// describe writes each fault as "file:line: what", and under it the line.
func describe(diags hcl.Diagnostics, sources map[string][]byte) error {
	var errs []error
	for _, diag := range diags.Errs() {
		var one *hcl.Diagnostic
		if !errors.As(diag, &one) {
			errs = append(errs, diag)
			continue
		}
		text := one.Summary
		if one.Detail != "" {
			text = strings.TrimSuffix(one.Summary, ".") + ": " + one.Detail
		}
		text = strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".")
		if one.Subject != nil {
			text = fmt.Sprintf("%s:%d: %s%s", one.Subject.Filename, one.Subject.Start.Line, text, excerpt(sources[one.Subject.Filename], one.Subject.Start.Line))
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// secretPattern is for lines that may hold what nobody should read in a log.
var secretPattern = regexp.MustCompile(`(?i)auth|passw|secret|token`)

// excerpt returns a line of a file, on a line of its own; nothing if it is empty, long or may hold a secret.
func excerpt(src []byte, number int) string {
	lines := strings.Split(string(src), "\n")
	if number < 1 || number > len(lines) {
		return ""
	}
	line := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, lines[number-1]))
	if line == "" || len(line) > 200 || secretPattern.MatchString(line) {
		return ""
	}
	return fmt.Sprintf("\n    %d | %s", number, line)
}

func (d *decoder) config(body hcl.Body, path string) *Config {
	top := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	b := d.read(body, top, []string{"state_dir", "http"}, []string{"source kind", "service name", "target kind name"})
	cfg := &Config{File: path, StateDir: b.path("state_dir", DefaultStateDir), HTTP: b.listen("http")}

	if src, ok := b.single("source"); ok {
		cfg.Source = d.source(src)
	} else {
		d.fault(top, "there is no source block; add: source \"gossip\" { address = %q }", api.DefaultAddr)
	}
	if len(b.blocks["service"]) == 0 {
		d.fault(top, "there is no service block; add: service \"web\" {}")
	}
	for _, blk := range b.blocks["service"] {
		s := d.service(blk)
		if i := slices.IndexFunc(cfg.Services, func(o Service) bool { return o.Name == s.Name }); i >= 0 {
			d.fault(blk.DefRange, "a second service %q", s.Name)
		}
		cfg.Services = append(cfg.Services, s)
	}
	if len(b.blocks["target"]) == 0 {
		d.fault(top, "there is no target block; add one of kind \"haproxy\", \"nginx\", \"twemproxy\" or \"template\"")
	}
	for _, blk := range b.blocks["target"] {
		t := d.target(blk, cfg)
		for _, o := range cfg.Targets {
			if o.ID() == t.ID() {
				d.fault(blk.DefRange, "a second target %q %q", t.Kind, t.Name)
			}
			for _, f := range t.Files {
				if f.Dest != "" && slices.ContainsFunc(o.Files, func(other File) bool { return other.Dest == f.Dest }) {
					d.fault(blk.DefRange, "target %s writes %s, which target %s owns", t.ID(), f.Dest, o.ID())
				}
			}
		}
		cfg.Targets = append(cfg.Targets, t)
	}
	d.overwrites(cfg, b.blocks["target"])
	cfg.graces()
	return cfg
}

// overwrites refuses targets that write one file twice, or what they or others read.
func (d *decoder) overwrites(cfg *Config, blocks hcl.Blocks) {
	read := map[string]string{}
	for _, t := range cfg.Targets {
		for _, f := range t.Files {
			read[f.Template] = "a template"
		}
		switch {
		case t.HAProxy != nil:
			read[t.HAProxy.Main], read[t.HAProxy.StateFile] = "HAProxy's main file", "HAProxy's state file"
		case t.Nginx != nil:
			read[t.Nginx.Main] = "nginx's main file"
		}
	}
	for i, t := range cfg.Targets {
		written := map[string]bool{}
		for _, f := range t.Files {
			if what := read[f.Dest]; what != "" && f.Dest != "" {
				d.fault(blocks[i].DefRange, "target %s writes %s, which is %s", t.ID(), f.Dest, what)
			}
			if f.Dest != "" && written[f.Dest] {
				d.fault(blocks[i].DefRange, "target %s writes %s twice", t.ID(), f.Dest)
			}
			written[f.Dest] = true
		}
	}
}

func (d *decoder) label(blk *hcl.Block, i int) string {
	if label := blk.Labels[i]; !labelPattern.MatchString(label) {
		d.fault(blk.LabelRanges[i], "%s name %q: want up to 63 letters, digits, and _ . - beginning with a letter or digit", blk.Type, label)
	}
	return blk.Labels[i]
}

func (d *decoder) source(blk *hcl.Block) Source {
	if blk.Labels[0] != "gossip" {
		d.fault(blk.LabelRanges[0], "source %q is unknown; known is \"gossip\"", blk.Labels[0])
	}
	b := d.read(blk.Body, blk.DefRange, []string{"address", "key_file", "timeout", "resync", "settle"}, nil)
	src := Source{
		Address: b.address("address", api.DefaultAddr),
		Timeout: b.duration("timeout", DefaultTimeout, 100*time.Millisecond, time.Hour),
		Resync:  b.duration("resync", DefaultResync, time.Second, day),
		Settle:  b.duration("settle", DefaultSettle, 0, time.Hour),
	}
	if path := b.path("key_file", ""); path != "" {
		key, err := os.ReadFile(path)
		if err != nil {
			d.fault(b.where("key_file"), "key_file: %v", err)
		}
		src.Key = strings.TrimSpace(string(key))
		if src.Key == "" && err == nil {
			d.fault(b.where("key_file"), "key_file %s is empty", path)
		}
	}
	return src
}

func (d *decoder) service(blk *hcl.Block) Service {
	s := Service{Name: d.label(blk, 0)}
	s.Spec = desired.Spec{Name: s.Name, Published: s.Name}
	b := d.read(blk.Body, blk.DefRange, nil, []string{"select", "endpoint", "wait", "guard", "drain"})

	if sel, ok := b.single("select"); ok {
		c := d.read(sel.Body, sel.DefRange, []string{"service", "tags"}, nil)
		s.Spec.Published = c.text("service", "")
		s.Spec.Tags = c.matches("tags")
		if s.Spec.Published == "" && len(s.Spec.Tags) == 0 {
			d.fault(sel.DefRange, "select chooses nothing: give service or tags, or leave the block out to choose who publishes %q", s.Name)
		}
	}
	if end, ok := b.single("endpoint"); ok {
		c := d.read(end.Body, end.DefRange, []string{"address_tag", "port_tag", "port", "weight_tag", "drain", "allow_loopback"}, nil)
		s.Spec.AddressTag = c.text("address_tag", "")
		s.Spec.PortTag = c.text("port_tag", "")
		s.Spec.Port = uint16(c.integer("port", 0, 1, 65535)) // in range: checked
		s.Spec.WeightTag = c.text("weight_tag", "")
		s.Spec.DrainTags = c.stringMap("drain")
		s.Spec.AllowLoopback = c.flag("allow_loopback")
	}

	s.Wait = Wait{Add: DefaultWaitAdd, Leave: DefaultWaitLeave, Fail: DefaultWaitFail, Max: DefaultWaitMax}
	if wait, ok := b.single("wait"); ok {
		c := d.read(wait.Body, wait.DefRange, []string{"add", "leave", "fail", "max"}, nil)
		s.Wait.Add = c.duration("add", DefaultWaitAdd, 0, time.Hour)
		s.Wait.Leave = c.duration("leave", DefaultWaitLeave, 0, time.Hour)
		s.Wait.Fail = c.duration("fail", DefaultWaitFail, 0, time.Hour)
		s.Wait.Max = c.duration("max", max(DefaultWaitMax, s.Wait.Add, s.Wait.Leave, s.Wait.Fail), 0, time.Hour)
		if longest := max(s.Wait.Add, s.Wait.Leave, s.Wait.Fail); s.Wait.Max < longest {
			d.fault(c.where("max"), "max is %v, shorter than another wait of %v", s.Wait.Max, longest)
		}
	}
	s.Guard = d.guard(b)
	s.Drain = Drain{Timeout: DefaultDrainTimeout}
	if dr, ok := b.single("drain"); ok {
		c := d.read(dr.Body, dr.DefRange, []string{"timeout", "force"}, nil)
		s.Drain = Drain{Timeout: c.duration("timeout", DefaultDrainTimeout, 0, day), Force: c.flag("force")}
	}
	return s
}

func (d *decoder) guard(service block) Guard {
	flap := Flap{HalfLife: DefaultFlapHalfLife, Suppress: DefaultFlapSuppress, Reuse: DefaultFlapReuse, Max: DefaultFlapMax}
	out := Guard{MinServers: DefaultMinServers, MaxRemoval: DefaultMaxRemoval, Window: DefaultWindow, FailedGrace: unset, Flap: flap}
	g, ok := service.single("guard")
	if !ok {
		return out
	}
	c := d.read(g.Body, g.DefRange, []string{"allow_empty", "min_servers", "max_removal", "window", "failed_grace", "apply_after"}, []string{"flap"})
	out.AllowEmpty = c.flag("allow_empty")
	out.MinServers = c.integer("min_servers", DefaultMinServers, 1, 1_000_000)
	out.MaxRemoval = c.percent("max_removal", DefaultMaxRemoval)
	out.Window = c.duration("window", DefaultWindow, time.Second, day)
	out.ApplyAfter = c.duration("apply_after", 0, time.Second, 30*day)
	if c.has("failed_grace") && c.text("failed_grace", "") == "never" {
		out.FailedGrace = Forever
	} else {
		out.FailedGrace = c.duration("failed_grace", unset, 0, 30*day)
	}
	f, ok := c.single("flap")
	if !ok {
		return out
	}
	e := d.read(f.Body, f.DefRange, []string{"half_life", "suppress", "reuse", "max"}, nil)
	out.Flap = Flap{
		HalfLife: e.duration("half_life", flap.HalfLife, 0, day),
		Suppress: e.number("suppress", flap.Suppress, 1, 1000),
		Reuse:    e.number("reuse", flap.Reuse, 0.1, 1000),
		Max:      e.duration("max", flap.Max, time.Second, 30*day),
	}
	if out.Flap.Reuse >= out.Flap.Suppress {
		d.fault(e.where("reuse"), "reuse is %v; it must be less than suppress, %v", out.Flap.Reuse, out.Flap.Suppress)
	}
	return out
}

// unset marks a failed_grace that was not given: its default depends on the targets.
const unset = -1

// graces fills in the failed_grace of services that give none. A hole in the ring of a cache costs misses, each move of its keys
// even more; so pools of twemproxy keep who failed.
func (cfg *Config) graces() {
	for i := range cfg.Services {
		s := &cfg.Services[i]
		if s.Guard.FailedGrace != unset {
			continue
		}
		s.Guard.FailedGrace = DefaultFailedGrace
		for _, t := range cfg.Targets {
			if t.Twemproxy == nil {
				continue
			}
			for _, p := range t.Twemproxy.Pools {
				if p.Service != s.Name {
					continue
				}
				s.Guard.FailedGrace = max(s.Guard.FailedGrace, DefaultCacheGrace)
				if p.Redis {
					s.Guard.FailedGrace = Forever
				}
			}
		}
	}
}

// matches reads tag conditions: "value" is exact, "~pattern" a regular expression for the whole value.
func (b block) matches(name string) []desired.Match {
	var out []desired.Match
	for key, value := range b.stringMap(name) {
		m := desired.Match{Key: key, Exact: value}
		if pattern, ok := strings.CutPrefix(value, "~"); ok {
			re, err := regexp.Compile(`^(?:` + pattern + `)$`)
			if err != nil {
				b.d.fault(b.where(name), "%s: %q is no regular expression: %v", name, pattern, err)
				continue
			}
			m = desired.Match{Key: key, Pattern: re}
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b desired.Match) int { return strings.Compare(a.Key, b.Key) })
	return out
}
