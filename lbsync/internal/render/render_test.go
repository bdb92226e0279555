package render_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
	"github.com/seed-645ce708/gossip/lbsync/internal/render"
)

func data() render.Data {
	return render.Data{
		Target: render.Target{Kind: "haproxy", Name: "edge"},
		Node:   pool.Node{Name: "lb-1", Addr: netip.MustParseAddr("10.0.0.9"), Tags: map[string]string{"zone": "eu"}},
		Services: adapter.Services{"web": {Name: "web", Servers: []pool.Server{
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
		"node":             {`{{.Node.Name}} {{.Node.Addr}} {{range where "zone" .Node.Zone .Services.web.Servers}}{{.Name}}{{end}}`, "lb-1 10.0.0.9 a\n", ""},
		"servers":          {"{{range .Services.web.Servers}}{{.Name}} {{.HostPort}} {{.Weight}};{{end}}", "a 10.0.0.1:80 100;b [fd00::2]:81 5;\n", ""},
		"fields":           {"{{range .Services.web.Servers}}{{.ID}} {{.Slot}} {{.Addr}} {{.Port}} {{.Family}} {{.Backup}} {{.Draining}};{{end}}", "0 0 10.0.0.1 80 ipv4 false false;0 0 fd00::2 81 ipv6 false true;\n", ""},
		"no such tag":      {"{{range .Services.web.Servers}}{{.Tags.zone}}{{end}}", "", `no entry for key "zone"`},
		"hold":             {"{{.Services.web.Hold}}{{.Services.web.HoldReason}}", "false\n", ""},
		"zone":             {"{{range .Services.web.Servers}}[{{.Zone}}]{{end}}", "[eu][]\n", ""},
		"where zone":       {`{{range .Services.web.Servers | where "zone" "eu" | limit 3}}{{.Name}}{{end}}`, "a\n", ""},
		"ready":            {"{{range ready .Services.web}}{{.Name}}{{end}}", "a\n", ""},
		"tags":             {`{{range .Services.web.Servers}}{{tag . "zone" "none"}} {{end}}`, "eu none \n", ""},
		"words":            {`{{"a,b" | split "," | join "+" | upper | replace "A" "x" | lower}}`, "x+b\n", ""},
		"json":             {`{{toJSON .Backends | len}}`, "", "\x00"},
		"sort, limit":      {`{{range sortBy "weight" .Services.web.Servers | limit 1}}{{.Name}}{{end}}`, "b\n", ""},
		"where":            {`{{range where "zone" "eu" .Services.web.Servers}}{{.Name}}{{end}}{{range whereNot "family" "ipv4" .Services.web.Servers}}{{.Name}}{{end}}`, "ab\n", ""},
		"group":            {`{{range groupBy "family" .Services.web.Servers}}{{.Key}}:{{range .Servers}}{{.Name}}{{end}} {{end}}`, "ipv4:a ipv6:b \n", ""},
		"first, last":      {`{{(first .Services.web.Servers).Name}}{{(last .Services.web.Servers).Name}}`, "ab\n", ""},
		"first of none":    {`{{first (where "zone" "us" .Services.web.Servers)}}`, "", "there is none"},
		"shuffle":          {`{{len (seededShuffle "lb-1" .Services.web.Servers)}}`, "2\n", ""},
		"defaults":         {`{{default "x" ""}}{{coalesce "" "y" "z"}}{{required "why" "v"}}`, "xyv\n", ""},
		"required":         {`{{required "no zone" ""}}`, "", "no zone"},
		"numbers":          {`{{add 1 2}} {{sub 5 2}} {{mul 2 3}} {{div 7 2}} {{min 1 2}} {{max 1 2}} {{scale 100 256 50}} {{scale 256 100 1}} {{scale 10 20 0}}`, "3 3 6 3 1 2 128 1 0\n", ""},
		"div by zero":      {`{{div 1 0}}`, "", "by zero"},
		"no number":        {`{{add 1 "x"}}`, "", "no whole number"},
		"text":             {`{{trim "  a "}}{{regexMatch "^a+$" "aaa"}} {{hostport "fd00::1" 80}} {{hashID "web-1"}}`, "atrue [fd00::1]:80 1991751456\n", ""},
		"indent":           {"{{indent 2 \"a\\n\\nb\"}}", "  a\n\n  b\n", ""},
		"quotes":           {"{{quote `a\"b`}} {{haQuote `a'b`}} {{ngxQuote `a\"b`}} {{yamlQuote `a: b`}} {{haTok `a-b`}}", `"a\"b" 'a'\''b' "a\"b" "a: b" a-b` + "\n", ""},
		"no token":         {`{{haTok "a b"}}`, "", "no plain word"},
		"nginx variable":   {`{{ngxQuote "$host"}}`, "", "dollar"},
		"environment":      {`{{env "PATH"}}`, "", "LBSYNC_"},
		"file outside":     {`{{file "../render.go"}}`, "", "file:"},
		"file":             {`{{len (file "render_test.go") | min 1}}`, "1\n", ""},
		"unknown service":  {`{{service .Services "db"}}`, "", `service "db" is none`},
		"missing key":      {`{{.Services.db.Name}}`, "", "db"},
		"fails on purpose": {`{{fail "no zone"}}`, "", "no zone"},
		"doubles":          {`{{$x := "aaaaaaaa"}}{{range split "," ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"}}{{$x = printf "%s%s" $x $x}}{{end}}`, "", "larger than"},
		"squares":          {`{{$x := "aaaaaaaa"}}{{range split "," ",,,,,,,"}}{{$x = replace "a" $x $x}}{{end}}`, "", "larger than"},
		"endless":          {"a\n{{range 9223372036854775807}}{{end}}", "", "template: t.tmpl:2: it goes round here"},
		"endless, inside":  {"{{if true}}{{with 1}}{{range 1000000}}\n{{range $.Services.web.Servers}}{{end}}{{end}}{{end}}{{end}}", "", "template: t.tmpl:2: it goes"},
		"endless, else":    {"{{range 0}}{{else}}{{range $i := 9223372036854775807}}{{end}}{{end}}", "", "it goes round here"},
		"endless calls":    {`{{define "a"}}{{template "b"}}{{template "b"}}{{end}}{{define "b"}}{{if true}}{{template "a"}}{{end}}{{end}}{{template "a"}}`, "", "t.tmpl"},
		"doubling calls":   {doubling(40), "", "it goes round here"},
		"many turns":       {"{{range 100000}}{{end}}{{range $i := 3}}{{$i}}{{if eq $i 1}}{{break}}{{end}}{{else}}x{{end}}{{block \"b\" .}}y{{end}}", "01y\n", ""},
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

// doubling is a text whose templates call each other twice, n deep.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{{define \"t%d\"}}{{template \"t%d\"}}{{template \"t%d\"}}{{end}}", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "{{define \"t%d\"}}{{end}}{{template \"t0\"}}", n)
	return b.String()
}
