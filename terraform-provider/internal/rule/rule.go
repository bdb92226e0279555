// Package rule holds the checks of arguments that Terraform runs before it plans. Each is a validator whose
// message says what is wrong with the value and what would be right. They touch neither network nor disk.
package rule

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// text is a validator of strings made of a function.
type text struct {
	what  string // the value must be ...
	check func(string) error
}

var _ validator.String = text{}

func (t text) Description(context.Context) string         { return "value must be " + t.what }
func (t text) MarkdownDescription(context.Context) string { return "value must be " + t.what }

func (t text) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := t.check(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "The value must be "+t.what, err.Error()+".")
	}
}

// Address accepts the address of an agent's RPC service.
func Address() validator.String {
	return text{"the RPC address of an agent", func(s string) error {
		_, err := session.ParseAddress(s)
		return err
	}}
}

// Duration accepts what [time.ParseDuration] does, if it is not below least.
func Duration(least time.Duration) validator.String {
	return text{"a duration such as 500ms, 10s or 1m30s", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration; write a number and a unit, such as 500ms, 10s or 1m30s", s)
		}
		if d < least {
			return fmt.Errorf("%s is too short; the least is %s", d, least)
		}
		return nil
	}}
}

// NameRegex accepts a regular expression in Go's syntax.
func NameRegex() validator.String {
	return text{"a regular expression", func(s string) error {
		if _, err := membership.CompileName(s); err != nil {
			return fmt.Errorf("%q: %w (the syntax is RE2, https://github.com/google/re2/wiki/Syntax)", s, err)
		}
		return nil
	}}
}

// Base64 accepts standard base64 with padding. The message never shows the value.
func Base64() validator.String {
	return text{"standard base64", func(s string) error {
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			return fmt.Errorf("not standard base64 with padding: %w; use the function base64encode", err)
		}
		return nil
	}}
}

// EventName accepts the name of a user event: not empty, printable, without spaces at its ends, and without
// comma or equals sign, which event handlers could not be told to listen for.
func EventName() validator.String {
	return text{"the name of a user event", func(s string) error { return checkName(s, "user") }}
}

func checkName(s, kind string) error {
	switch {
	case s == "":
		return fmt.Errorf("the name is empty; handlers listen for a name, such as deploy in %s:deploy", kind)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%q begins or ends with a space", s)
	case strings.ContainsAny(s, ",="):
		return fmt.Errorf("%q has a comma or an equals sign, so that no handler %s:NAME can listen for it", s, kind)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q has a control character", s)
	}
	return nil
}

// Peer accepts the gossip address of an agent to join: host or host:port.
func Peer() validator.String {
	return text{"the gossip address of an agent", func(s string) error {
		if s == "" || strings.ContainsAny(s, " \t\n") || strings.Contains(s, "://") {
			return fmt.Errorf("%q is not an address; write host or host:port, such as 10.0.0.2:7946", s)
		}
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return nil //nolint:nilerr // there is no port, so the agent assumes its default
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%q: port %q is not a number from 1 to 65535", s, port)
		}
		return nil
	}}
}

// TagKey accepts the key of a tag: not empty, without an equals sign, which the agent's files could not hold, and
// without control characters.
func TagKey() validator.String {
	return text{"the key of a tag", func(s string) error {
		switch {
		case s == "":
			return errors.New("a key is empty")
		case strings.Contains(s, "="):
			return fmt.Errorf("%q has an equals sign, which separates key and value", s)
		case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return fmt.Errorf("%q has a control character", s)
		}
		return nil
	}}
}

// QueryName accepts the name of a query, which handlers listen for as query:NAME.
func QueryName() validator.String {
	return text{"the name of a query", func(s string) error {
		if strings.HasPrefix(s, "_serf_") || strings.HasPrefix(s, "_gossip_") {
			return fmt.Errorf("%q: names with this beginning are the agents' own", s)
		}
		return checkName(s, "query")
	}}
}

// KeyID accepts the fingerprint of a gossip key.
func KeyID() validator.String {
	return text{"the fingerprint of a gossip key", keyid.Check}
}

// Key accepts a gossip key. The message never shows the value.
func Key() validator.String {
	return text{"a gossip key", func(s string) error {
		_, err := keyid.Of(s)
		return err
	}}
}
