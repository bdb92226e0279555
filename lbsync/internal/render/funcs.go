package render

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/pool"
)

// maxInclude bounds what the function file reads, in bytes.
const maxInclude = 1 << 20

// Funcs returns the functions of templates, besides those of text/template. In all of them what is piped in comes last. dir is the
// folder that the function file reads from.
func Funcs(dir string) template.FuncMap {
	all := template.FuncMap{"file": func(name string) (string, error) { return include(dir, name) }}
	for _, group := range []template.FuncMap{servers, words, numbers, quoting} {
		for name, f := range group {
			all[name] = f
		}
	}
	return all
}

// servers choose and order servers.
var servers = template.FuncMap{
	// service SERVICES NAME: the service, or an error that says that there is none.
	"service": func(all adapter.Services, name string) (pool.Service, error) {
		s, ok := all[name]
		if !ok {
			return s, fmt.Errorf("service %q is none that this target uses", name)
		}
		return s, nil
	},
	// ready SERVICE: its servers that take traffic.
	"ready": pool.Service.Ready,
	// tag SERVER KEY DEFAULT: a tag's value. Values that could end a word, a line or a quotation are never there.
	"tag": tag,
	// sortBy KEY SERVERS: by name, addr, weight, or a tag; equal ones by name.
	"sortBy": func(key string, list []pool.Server) []pool.Server {
		out := slices.Clone(list)
		slices.SortStableFunc(out, func(a, b pool.Server) int {
			if key == "weight" {
				return cmp.Compare(a.Weight, b.Weight)
			}
			return cmp.Compare(field(a, key), field(b, key))
		})
		return out
	},
	// where KEY VALUE SERVERS: those whose name, addr, state, family or tag has the value; whereNot: the others.
	"where": func(key, value string, list []pool.Server) []pool.Server { return where(key, value, list, true) },
	"whereNot": func(key, value string, list []pool.Server) []pool.Server {
		return where(key, value, list, false)
	},
	// groupBy KEY SERVERS: groups by name, addr, state, family or tag, sorted by it, each with .Key and .Servers.
	"groupBy": groupBy,
	"first": func(list []pool.Server) (pool.Server, error) {
		if len(list) == 0 {
			return pool.Server{}, errors.New("first: there is none")
		}
		return list[0], nil
	},
	"last": func(list []pool.Server) (pool.Server, error) {
		if len(list) == 0 {
			return pool.Server{}, errors.New("last: there is none")
		}
		return list[len(list)-1], nil
	},
	// limit N SERVERS: the first N.
	"limit": func(n int, list []pool.Server) []pool.Server { return list[:max(0, min(n, len(list)))] },
	// seededShuffle SEED SERVERS: in an order that depends on the seed alone.
	"seededShuffle": func(seed string, list []pool.Server) []pool.Server {
		h := fnv.New64a()
		_, _ = h.Write([]byte(seed)) // never fails
		rnd := rand.New(rand.NewPCG(h.Sum64(), 0))
		out := slices.Clone(list)
		rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out
	},
}

// Group is some servers that have something in common.
type Group struct {
	Key     string
	Servers []pool.Server
}

func tag(s pool.Server, key, fallback string) string {
	if v, ok := s.Tags[key]; ok {
		return v
	}
	return fallback
}

// field returns what a server is known by: its name, address, state, family, or else the tag of that name.
func field(s pool.Server, key string) string {
	switch key {
	case "name":
		return s.Name
	case "addr":
		return s.Addr.String()
	case "state":
		return string(s.State)
	case "family":
		return s.Family()
	default:
		return s.Tags[key]
	}
}

func where(key, value string, list []pool.Server, want bool) []pool.Server {
	return slices.DeleteFunc(slices.Clone(list), func(s pool.Server) bool { return (field(s, key) == value) != want })
}

func groupBy(key string, list []pool.Server) []Group {
	var out []Group
	for _, s := range list {
		value := field(s, key)
		i, ok := slices.BinarySearchFunc(out, value, func(g Group, v string) int { return cmp.Compare(g.Key, v) })
		if !ok {
			out = slices.Insert(out, i, Group{Key: value})
		}
		out[i].Servers = append(out[i].Servers, s)
	}
	return out
}

// words are about text.
var words = template.FuncMap{
	"default": func(fallback, value string) string { return cmp.Or(value, fallback) },
	"coalesce": func(values ...string) string {
		return cmp.Or(values...)
	},
	// required WHY VALUE: the value, or an error if it is empty.
	"required": func(why, value string) (string, error) {
		if value == "" {
			return "", errors.New(why)
		}
		return value, nil
	},
	"fail":  func(why string) (string, error) { return "", errors.New(why) },
	"join":  func(sep string, words []string) (string, error) { return bound(strings.Join(words, sep)) },
	"split": func(sep, text string) []string { return strings.Split(text, sep) },
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"replace": func(old, with, text string) (string, error) {
		if len(text)+strings.Count(text, old)*(len(with)-len(old)) > MaxSize {
			return "", errTooLarge
		}
		return strings.ReplaceAll(text, old, with), nil
	},
	// As built in, but bounded: what doubles a text once for each server would soon fill the memory.
	"print":   func(args ...any) (string, error) { return bound(fmt.Sprint(args...)) },
	"printf":  func(format string, args ...any) (string, error) { return bound(fmt.Sprintf(format, args...)) },
	"println": func(args ...any) (string, error) { return bound(fmt.Sprintln(args...)) },
	"trim":    strings.TrimSpace,
	"regexMatch": func(pattern, text string) (bool, error) {
		return regexp.MatchString(pattern, text)
	},
	// indent N TEXT: each line but empty ones with N spaces before it.
	"indent": func(n int, text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				b.WriteString(strings.Repeat(" ", max(0, min(n, 100))))
			}
			b.WriteString(line)
		}
		return b.String()
	},
	// hashID TEXT: a number from 1 to 2^31-1 that depends on the text alone, as server ids do.
	"hashID": func(text string) uint32 {
		one := []pool.Server{{Name: text}}
		pool.AssignIDs(one)
		return one[0].ID
	},
	"hostport": func(host string, port any) string { return net.JoinHostPort(host, fmt.Sprint(port)) },
	// env NAME: a variable of the environment whose name begins with LBSYNC_; others might hold secrets.
	"env": func(name string) (string, error) {
		if !strings.HasPrefix(name, "LBSYNC_") {
			return "", fmt.Errorf("env: %s does not begin with LBSYNC_", name)
		}
		return os.Getenv(name), nil
	},
}

// numbers are about whole numbers of any type.
var numbers = template.FuncMap{
	"add": binary(func(a, b int64) (int64, error) { return a + b, nil }),
	"sub": binary(func(a, b int64) (int64, error) { return a - b, nil }),
	"mul": binary(func(a, b int64) (int64, error) { return a * b, nil }),
	"div": binary(func(a, b int64) (int64, error) {
		if b == 0 {
			return 0, errors.New("div: by zero")
		}
		return a / b, nil
	}),
	"min": binary(func(a, b int64) (int64, error) { return min(a, b), nil }),
	"max": binary(func(a, b int64) (int64, error) { return max(a, b), nil }),
	// scale FROM TO N: N of a scale that ends at FROM, on one that ends at TO, at least 1 unless N is 0.
	"scale": func(from, to, n any) (int64, error) {
		f, err := whole(from)
		if err == nil && f <= 0 {
			err = errors.New("scale: FROM must be above 0")
		}
		t, err2 := whole(to)
		v, err3 := whole(n)
		if err := errors.Join(err, err2, err3); err != nil || v <= 0 {
			return 0, err
		}
		return max(1, (v*t+f/2)/f), nil
	},
}

func binary(f func(a, b int64) (int64, error)) func(a, b any) (int64, error) {
	return func(a, b any) (int64, error) {
		x, err := whole(a)
		y, err2 := whole(b)
		if err := errors.Join(err, err2); err != nil {
			return 0, err
		}
		return f(x, y)
	}
}

func whole(v any) (int64, error) {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%v is no whole number", v)
	}
	return n, nil
}

// quoting puts any text into the syntax of a file, or fails.
var quoting = template.FuncMap{
	"toJSON": func(v any) (string, error) {
		out, err := json.Marshal(v)
		return string(out), err
	},
	// toYAML: JSON is YAML, and has no surprises.
	"toYAML": func(v any) (string, error) {
		out, err := json.Marshal(v)
		return string(out), err
	},
	"yamlQuote": func(text string) (string, error) {
		out, err := json.Marshal(text)
		return string(out), err
	},
	"quote": strconv.Quote,
	// haTok TEXT: one word of HAProxy's configuration as it is; an error if it is not one.
	"haTok": func(text string) (string, error) {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'\#$;{}`, r) }) {
			return "", fmt.Errorf("haTok: %q is no plain word", text)
		}
		return text, nil
	},
	// haQuote TEXT: one word of HAProxy's configuration, in quotes that take everything as it is.
	"haQuote": func(text string) (string, error) {
		if control(text) {
			return "", fmt.Errorf("haQuote: %q has a control character", text)
		}
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'", nil
	},
	// ngxQuote TEXT: one word of nginx's configuration. A dollar sign would be a variable there.
	"ngxQuote": func(text string) (string, error) {
		if control(text) || strings.Contains(text, "$") {
			return "", fmt.Errorf("ngxQuote: %q has a control character or a dollar sign", text)
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`, nil
	},
}

func control(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// include reads a file below dir.
func include(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("file: %w", err)
	}
	defer func() { _ = root.Close() }() // it was read
	info, err := root.Stat(filepath.FromSlash(name))
	if err == nil && info.Size() > maxInclude {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxInclude)
	}
	if err != nil {
		return "", fmt.Errorf("file: %w", err)
	}
	data, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return "", fmt.Errorf("file: %w", err)
	}
	return string(data), nil
}
