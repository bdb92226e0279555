package rule

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func check(t *testing.T, v validator.String, value types.String) string {
	t.Helper()
	var resp validator.StringResponse
	v.ValidateString(t.Context(), validator.StringRequest{Path: path.Root("x"), ConfigValue: value}, &resp)
	var texts []string
	for _, d := range resp.Diagnostics {
		texts = append(texts, d.Summary()+": "+d.Detail())
	}
	return strings.Join(texts, "; ")
}

func TestRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what  string
		rule  validator.String
		value string
		want  string // in the error; "" means none
	}{
		{"address", Address(), "127.0.0.1:7373", ""},
		{"address", Address(), "127.0.0.1", "is not host:port"},
		{"duration", Duration(0), "1m30s", ""},
		{"duration", Duration(0), "0s", ""},
		{"duration", Duration(0), "10", "write a number and a unit"},
		{"duration", Duration(0), "-1s", "too short; the least is 0s"},
		{"duration", Duration(time.Second), "999ms", "too short; the least is 1s"},
		{"name_regex", NameRegex(), "web-[0-9]+", ""},
		{"name_regex", NameRegex(), "web-[", "missing closing ]"},
		{"base64", Base64(), "AP8=", ""},
		{"base64", Base64(), "", ""},
		{"base64", Base64(), "AP8", "base64encode"},
		{"event", EventName(), "deploy the app", ""},
		{"event", EventName(), "", "the name is empty"},
		{"event", EventName(), " deploy", "begins or ends with a space"},
		{"event", EventName(), "a,b", "no handler user:NAME can listen"},
		{"event", EventName(), "a=b", "no handler user:NAME can listen"},
		{"event", EventName(), "a\nb", "control character"},
		{"peer", Peer(), "10.0.0.1", ""},
		{"peer", Peer(), "10.0.0.1:7946", ""},
		{"peer", Peer(), "::1", ""},
		{"peer", Peer(), "[::1]:7946", ""},
		{"peer", Peer(), "node.internal", ""},
		{"peer", Peer(), "", "write host or host:port"},
		{"peer", Peer(), "tcp://10.0.0.1:7946", "write host or host:port"},
		{"peer", Peer(), "10.0.0.1:0", "is not a number from 1 to 65535"},
	}
	for _, tt := range tests {
		t.Run(tt.what+" "+tt.value, func(t *testing.T) {
			t.Parallel()
			got := check(t, tt.rule, types.StringValue(tt.value))
			if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
				t.Errorf("%q gives %q, want %q", tt.value, got, tt.want)
			}
			for _, absent := range []types.String{types.StringNull(), types.StringUnknown()} {
				if got := check(t, tt.rule, absent); got != "" {
					t.Errorf("%s gives %q, want nothing", absent, got)
				}
			}
		})
	}
}

func TestBase64ShowsNothingOfTheValue(t *testing.T) {
	t.Parallel()
	if got := check(t, Base64(), types.StringValue("secret!secret!")); strings.Contains(got, "secret") {
		t.Errorf("the message shows the value: %s", got)
	}
}
