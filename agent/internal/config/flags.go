package config

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Source remembers what a command line asked for, so that it can be laid over the files again whenever they are
// read anew. Make one with Flags.
type Source struct {
	paths  []string // files and directories in the order given
	values []flagValue
}

// flagValue is one use of a flag, in the Go type that setting.set takes.
type flagValue struct {
	setting *setting
	value   any
}

// Flags defines the flags of every setting, and -config-file and -config-dir, on fs. Once fs has parsed a command
// line, Load on the returned source gives the configuration.
func Flags(fs *flag.FlagSet) *Source {
	return define(fs, func(*setting) bool { return true })
}

// DNSFlags is Flags for a program that answers DNS and is no agent: of the settings it defines the flags of those of DNS
// and of the log. What else is in a file is checked, and means nothing.
func DNSFlags(fs *flag.FlagSet) *Source {
	return define(fs, func(s *setting) bool { return strings.HasPrefix(s.key, "dns_") || strings.HasPrefix(s.key, "log_") })
}

// ZoneFlags is Flags for a program that makes a zone once and does not serve it: it defines the flags of the settings that
// decide what is in the zone.
func ZoneFlags(fs *flag.FlagSet) *Source {
	return define(fs, func(s *setting) bool {
		switch s.key {
		case "dns_zone", "dns_node_ttl", "dns_service_ttl", "dns_negative_ttl", "dns_services", "dns_reverse":
			return true
		}
		return false
	})
}

// define defines -config-file, -config-dir and the flags of the settings that are wanted.
func define(fs *flag.FlagSet, wanted func(*setting) bool) *Source {
	src := &Source{}
	addPath := func(path string) error {
		src.paths = append(src.paths, path)
		return nil
	}
	fs.Func("config-file", "read settings from `FILE`, JSON or (if it ends in .hcl) HCL; may be repeated", addPath)
	fs.Func("config-dir", "read settings from all files of `DIR` that end in .json or .hcl; may be repeated", addPath)
	for i := range settings {
		s := &settings[i]
		if s.flag == "" || !wanted(s) {
			continue
		}
		add := func(text string) error {
			v, err := s.parse(text)
			if err != nil {
				return err
			}
			src.values = append(src.values, flagValue{s, v})
			return nil
		}
		switch s.kind {
		case onSwitch, toggle:
			fs.BoolFunc(s.flag, s.help, add)
		default:
			fs.Func(s.flag, s.help, add)
		}
	}
	return src
}

// Load reads the files anew and returns them over the defaults and under the flags. The result still wants
// Complete.
func (src *Source) Load() (Config, error) {
	c := Default()
	if err := Load(&c, src.paths...); err != nil {
		return Config{}, err
	}
	for _, v := range src.values {
		if tag, ok := v.value.(string); ok && v.setting.kind == table {
			key, value, ok := strings.Cut(tag, "=")
			if (!ok || key == "") && v.setting.flag != "tag" {
				return Config{}, fmt.Errorf("-%s is %q, but must be NAME=VALUE", v.setting.flag, tag)
			}
			if !ok || key == "" {
				return Config{}, fmt.Errorf("error: Invalid tag: '%s' (write -tag KEY=VALUE)", tag)
			}
			v.value = map[string]string{key: value}
		}
		v.setting.set(&c, v.value)
	}
	return c, nil
}

// parse turns a flag's text into the Go type that set takes; of a tag it keeps the text.
func (s *setting) parse(v string) (any, error) {
	switch s.kind {
	case integer, count:
		n, err := strconv.ParseInt(v, 0, 32)
		if err != nil {
			return nil, fmt.Errorf("expected a whole number")
		}
		return int(n), nil
	case duration, interval:
		d, err := time.ParseDuration(v)
		if err != nil {
			return nil, fmt.Errorf(`expected a duration such as "30s"`)
		}
		return d, nil
	case onSwitch, toggle:
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, fmt.Errorf("expected true or false")
		}
		return b, nil
	case list:
		return []string{v}, nil
	}
	return v, nil
}

// PrintFlags writes the help of every flag that Flags defines.
func PrintFlags(w io.Writer) error {
	rows := [][2]string{
		{"-config-file FILE", "read settings from FILE, JSON or (if it ends in .hcl) HCL; may be repeated"},
		{"-config-dir DIR", "read settings from all files of DIR that end in .json or .hcl; may be repeated"},
	}
	for _, s := range settings {
		if s.flag != "" {
			rows = append(rows, [2]string{strings.TrimSpace("-" + s.flag + " " + s.arg), s.help})
		}
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(w, "  %-28s  %s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}

// FlagArg returns what the help shows behind a flag that Flags, DNSFlags or ZoneFlags defines; "" for switches and other flags.
func FlagArg(name string) string {
	for _, s := range settings {
		if s.flag == name {
			return s.arg
		}
	}
	return ""
}

// FlagNames lists the names of all flags that Flags defines, for shell completion, in the order of the help.
func FlagNames() []string {
	names := []string{"config-file", "config-dir"}
	for _, s := range settings {
		if s.flag != "" {
			names = append(names, s.flag)
		}
	}
	return names
}
