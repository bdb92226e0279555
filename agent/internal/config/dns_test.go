package config

import (
	"fmt"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                    "[]",
		"192.0.2.77/24, 2001:db8::1,1.2.3.4 ": "[192.0.2.0/24 2001:db8::1/128 1.2.3.4/32]",
		"::ffff:1.2.3.4":                      "[1.2.3.4/32]",
		"private": "[127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 ::1/128 " +
			"fc00::/7 fe80::/10]",
		"fe80::1%eth0": "error", "10/8": "error", "privat": "error",
	} {
		list, err := ParseNetworks(text)
		got := fmt.Sprint(list)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
