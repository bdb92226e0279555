package render_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
)

func data() render.Data {
	return render.Data{
		Target: render.Target{Kind: "haproxy", Name: "edge"},
		Services: map[string]pool.Service{"web": {Name: "web", Servers: []pool.Server{
			{Name: "a", Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Weight: 100, Tags: map[string]string{"zone": "eu"}},
			{Name: "b", Addr: netip.MustParseAddr("fd00::2"), Port: 81, Weight: 5, State: pool.Draining},
		}}},
		Backends: []render.Backend{{Name: "be", Service: "web"}},
	}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want, err string }{
		"plain":            {"x", "x\n", ""},
		"final newline":    {"x\n", "x\n", ""},
		"nothing":          {"", "", ""},
		"target":           {"{{.Target.Kind}}/{{.Target.Name}}", "haproxy/edge\n", ""},
		"servers":          {"{{range .Services.web.Servers}}{{.Name}} {{.HostPort}} {{.Weight}};{{end}}", "a 10.0.0.1:80 100;b [fd00::2]:81 5;\n", ""},
		"ready":            {"{{range ready .Services.web}}{{.Name}}{{end}}", "a\n", ""},
		"tags":             {`{{range .Services.web.Servers}}{{tag . "zone" "none"}} {{end}}`, "eu none \n", ""},
		"words":            {`{{"a,b" | split "," | join "+" | upper | replace "A" "x" | lower}}`, "x+b\n", ""},
		"json":             {`{{toJSON .Backends | len}}`, "", "\x00"},
		"unknown service":  {`{{service .Services "db"}}`, "", `service "db" is none`},
		"missing key":      {`{{.Services.db.Name}}`, "", "db"},
		"fails on purpose": {`{{fail "no zone"}}`, "", "no zone"},
		"too large":        {`{{range split "," ",,,,,,,,,,,,,,,,,,,"}}{{printf "%999999d" 1}}{{end}}`, "", "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmpl, err := render.Parse("t.tmpl", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Execute(data())
			switch {
			case tt.err == "\x00":
				if err != nil || len(got) < 2 {
					t.Errorf("got %q, %v", got, err)
				}
			case tt.err == "" && (err != nil || string(got) != tt.want):
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

func TestParseError(t *testing.T) {
	t.Parallel()
	if _, err := render.Parse("t.tmpl", "ok\n{{nonsense}}"); err == nil || !strings.Contains(err.Error(), "t.tmpl:2") {
		t.Errorf("got %v", err)
	}
}
