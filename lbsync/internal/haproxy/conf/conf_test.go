package conf

import (
	"slices"
	"strings"
	"testing"
)

const sample = `# Managed by gossip-lbsync.
global
    stats socket /run/admin.sock mode 600 level admin
defaults one
    default-server inter 9s
defaults
    mode http
    default-server inter 2s \
        rise 3
frontend f from one
    http-request set-header X "a b;#c" # said
backend web
    balance roundrobin
    default-server check
    server web-1 10.0.0.1:8080 id 7 weight 100 fall 3 # web-1
    server web-2 [fd00::3]:8080 id 8 weight 0 backup check inter 1s
    server slot3 127.0.0.1:1 disabled
    server named host.invalid:80
    server varied "${HOST}:80"
    server quoted 10.0.0.2:80 sni 'str(a b)'
backend other
    server x 10.0.0.9:1
`

func TestParse(t *testing.T) {
	t.Parallel()
	sections := Parse(sample)
	var names []string
	for _, s := range sections {
		names = append(names, strings.TrimSpace(s.Kind+" "+s.Name+" "+s.From))
	}
	if want := []string{"global", "defaults one", "defaults", "frontend f one", "backend web", "backend other"}; !slices.Equal(names, want) {
		t.Errorf("sections %q", names)
	}
	if l := sections[3].Lines[0]; !slices.Equal(l.Words, []string{"http-request", "set-header", "X", "a b;#c"}) || l.Comment != "said" || l.Number != 11 {
		t.Errorf("%+v", l)
	}
	inherited := DefaultServer(sections)
	if !slices.Equal(inherited, []string{"inter", "2s", "rise", "3"}) {
		t.Errorf("default-server %q", inherited)
	}
	servers := Servers(sections[4], inherited)
	if len(servers) != 6 {
		t.Fatal(servers)
	}
	one := servers[0]
	if one.Name != "web-1" || one.ID != 7 || one.Weight != 100 || one.Addr.String() != "10.0.0.1:8080" || one.Comment != "web-1" ||
		!slices.Equal(one.Options, strings.Fields("inter 2s rise 3 check fall 3")) || !one.Checked() || one.Opaque {
		t.Errorf("%+v", one)
	}
	if two := servers[1]; !two.Backup || two.Weight != 0 || two.Addr.String() != "[fd00::3]:8080" {
		t.Errorf("%+v", two)
	}
	if three := servers[2]; !three.Disabled || three.ID != 0 || three.Weight != 1 {
		t.Errorf("%+v", three)
	}
	if !servers[3].Opaque || !servers[4].Opaque || servers[5].Opaque {
		t.Errorf("%+v", servers[3:])
	}
	if got := servers[5].Options; got[len(got)-1] != "str(a b)" {
		t.Errorf("%q", got)
	}
}

func TestStructure(t *testing.T) {
	t.Parallel()
	const base = "backend web\n balance roundrobin\n server a 10.0.0.1:80 id 1 weight 100 check\n server b 10.0.0.2:80 id 2 weight 100 check\n"
	named := Managed{Keep: KeepOptions, Options: []string{"check"}}
	tests := []struct {
		name, text string
		how        Managed
		same       bool
	}{
		{"a comment", "# x\n" + base + "\n# y\n", Managed{}, true},
		{"a weight", strings.Replace(base, "weight 100", "weight 50", 1), Managed{}, false},
		{"a weight at run time", strings.Replace(base, "weight 100", "weight 50", 1), named, true},
		{"an address and no backup", strings.Replace(base, "10.0.0.1:80", "[::1]:81", 1), named, true},
		{"one more", base + " server c 10.0.0.3:80 id 3 check\n", named, true},
		{"none left", "backend web\n balance roundrobin\n", named, true},
		{"other options", strings.ReplaceAll(base, "check", "check inter 1s"), named, false},
		{"another algorithm", strings.Replace(base, "roundrobin", "first", 1), named, false},
		{"another backend", base + "backend b\n", named, false},
		{"a name instead of an address", strings.Replace(base, "10.0.0.1", "host", 1), named, false},
		{"a slot moves", strings.Replace(base, "10.0.0.1:80", "10.0.0.9:80", 1), Managed{Keep: KeepNames}, true},
		{"a slot is freed", strings.Replace(base, "10.0.0.1:80 id 1 weight 100 check", "127.0.0.1:1 id 1 weight 1 check disabled", 1), Managed{Keep: KeepNames}, true},
		{"one slot more", base + " server c 10.0.0.3:80 id 3 check\n", Managed{Keep: KeepNames}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			managed := map[string]Managed{"web": tt.how}
			if got := Structure(Parse(base), managed) == Structure(Parse(tt.text), managed); got != tt.same {
				t.Errorf("same structure: %t", got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("backend a\n server \"x")
	f.Add("\\\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		sections := Parse(text)
		for _, s := range sections {
			for _, l := range s.Lines {
				if len(l.Words) == 0 {
					t.Error("a line without words")
				}
			}
			for _, srv := range Servers(s, DefaultServer(sections)) {
				if !srv.Opaque && !srv.Addr.IsValid() {
					t.Errorf("%+v", srv)
				}
			}
		}
		if Structure(sections, nil) != Structure(Parse(text), nil) {
			t.Error("two structures")
		}
	})
}
