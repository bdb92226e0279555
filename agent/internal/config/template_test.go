package config

import (
	"strings"
	"testing"

	"github.com/hashicorp/go-sockaddr/template"
)

// TestTemplates: go-sockaddr itself gives the same answers.
func TestTemplates(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{{ GetPrivateIP }}`, `{{GetPrivateIPs}}`, `{{ GetPublicIP }}`, `{{ GetPublicIPs }}`, `{{ GetInterfaceIP "lo" }}:80`, `{{ GetInterfaceIPs "lo" }}`,
		`{{ GetAllInterfaces }}`, `{{ GetPrivateInterfaces | join "address" " " }}`, `{{ GetPublicInterfaces | limit 1 | join "address" " " }}`,
		`{{ GetDefaultInterfaces | sort "default" | attr "address" }}`,
		`{{ GetAllInterfaces | include "name" "^lo" | include "flags" "up|loopback" | limit 1 | attr "address" }}:1`,
		`{{ . | exclude "type" "IPv6" | sort "type,size" | offset -1 | attr "size" }}`,
		`{{ attr "address" (GetAllInterfaces | include "network" "127.0.0.0/8" | limit 0x1) }}`,
		`{{ GetAllInterfaces | include "type" "ipv4" | unique "name" | join "name" "," }}`,
		`{{ GetAllInterfaces | include "network" "127.0.0.0/8" | math "address" "+7" | attr "address" }}`,
		`a {{- /* nothing */ -}} b {{ "c" }}{{ printf "%s-%d" "d" 5 }}`,
		"{{ `raw` }}", `{{ true }}`,
	} {
		want, wantErr := template.Parse(text)
		got, err := evaluate(text)
		if err != nil || wantErr != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q, %v", text, got, err, want, wantErr)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{ if true }}1.1.1.1{{ end }}`:                       "no control structures",
		`{{ $x := GetPrivateIP }}`:                            "no variables",
		`{{ .Name }}`:                                         "no variables",
		`{{ Nope }}`:                                          `function "Nope" not defined`,
		`{{ GetPrivateIP`:                                     "unclosed action",
		`{{ GetPrivateIP "eth0" }}`:                           "GetPrivateIP takes 0 arguments, not 1",
		`{{ GetAllInterfaces | limit }}`:                      "limit takes 2 arguments, not 1",
		`{{ GetAllInterfaces | limit -1 }}`:                   "limit: argument 1 cannot be the number -1",
		`{{ GetAllInterfaces | limit "1" }}`:                  "limit: argument 1 should be of type uint, not string",
		`{{ GetPrivateIP | limit 1 }}`:                        "limit: argument 2 should be of type sockaddr.IfAddrs, not string",
		`{{ "a" "b" }}`:                                       "is not a function",
		`{{ GetAllInterfaces | include "name" "[" }}`:         "include: ",
		`{{ GetAllInterfaces | sort "nope" }}`:                "sort: ",
		`{{ GetAllInterfaces | limit 1 | math "nope" "+1" }}`: "math: ",
	} {
		if out, err := evaluate(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q, %v, want %s", text, out, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		`{{ GetAllInterfaces | include "name" "lo" | offset -1 | limit 0x1 | attr "address" }}:80`,
		`{{ math "address" "+1" (. | sort "size" | unique "type") | join "flags" " " }}`,
		`{{ with . }}{{ $x := 'c' }}{{ end }}`, `{{ printf "%[9]*d" 1i true nil }}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) { _, _ = evaluate(text) }) // must not panic; either outcome is right
}
