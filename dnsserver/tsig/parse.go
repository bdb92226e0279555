package tsig

import (
	"errors"
	"fmt"
	"strings"
)

// Parse reads keys as BIND writes them, and as dig, nsupdate and Knot's tools read them:
//
//	key "name" {
//		algorithm hmac-sha256;
//		secret "base64";
//	};
//
// There may be any number of them, and comments in the manner of C, C++ and the shell. Anything else is an error, which
// names the line and never holds a secret.
func Parse(text string) ([]*Key, error) {
	p := parser{text: text, line: 1}
	var keys []*Key
	for {
		word, err := p.next()
		if err != nil {
			return nil, err
		}
		if word == "" {
			return keys, nil
		}
		if word == ";" {
			continue
		}
		if word != "key" {
			return nil, fmt.Errorf("line %d: only key \"NAME\" { ... }; may stand here", p.line)
		}
		k, err := p.key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
}

type parser struct {
	text string
	line int
}

var errEnd = errors.New("the file ends in the middle of a key")

func (p *parser) key() (*Key, error) {
	start := p.line
	name, err := p.value("a name")
	if err != nil {
		return nil, err
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	var algorithm, secret string
	for {
		word, err := p.next()
		if err != nil {
			return nil, err
		}
		var to *string
		switch word {
		case "":
			return nil, errEnd
		case "}":
			if algorithm == "" || secret == "" {
				return nil, fmt.Errorf("line %d: key %q must have an algorithm and a secret", start, name)
			}
			k, err := NewKey(name, algorithm, secret)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", start, err)
			}
			return k, p.expect(";")
		case "algorithm":
			to = &algorithm
		case "secret":
			to = &secret
		default: // not shown: it may be the secret
			return nil, fmt.Errorf("line %d: key %q has something else than algorithm and secret", p.line, name)
		}
		if *to != "" {
			return nil, fmt.Errorf("line %d: key %q has its %s twice", p.line, name, word)
		}
		if *to, err = p.value("the " + word); err != nil {
			return nil, err
		}
		if err := p.expect(";"); err != nil {
			return nil, err
		}
	}
}

func (p *parser) value(what string) (string, error) {
	word, err := p.next()
	switch {
	case err != nil:
		return "", err
	case word == "":
		return "", errEnd
	case len(word) == 1 && strings.Contains("{};", word):
		return "", fmt.Errorf("line %d: %s is missing", p.line, what)
	}
	return word, nil
}

func (p *parser) expect(want string) error {
	word, err := p.next()
	switch {
	case err != nil:
		return err
	case word == "" && want == ";":
		return errEnd
	case word != want:
		return fmt.Errorf("line %d: %q is missing", p.line, want)
	}
	return nil
}

// next returns the next word, or "" at the end.
func (p *parser) next() (string, error) {
	for p.text != "" {
		switch c := p.text[0]; {
		case c == '\n':
			p.line++
			p.text = p.text[1:]
		case c == ' ' || c == '\t' || c == '\r':
			p.text = p.text[1:]
		case c == '#' || strings.HasPrefix(p.text, "//"):
			_, p.text, _ = strings.Cut(p.text, "\n")
			p.line++
		case strings.HasPrefix(p.text, "/*"):
			comment, rest, ok := strings.Cut(p.text, "*/")
			if !ok {
				return "", fmt.Errorf("line %d: the comment has no end", p.line)
			}
			p.line += strings.Count(comment, "\n")
			p.text = rest
		case strings.IndexByte("{};", c) >= 0:
			p.text = p.text[1:]
			return string(c), nil
		case c == '"':
			word, rest, ok := strings.Cut(p.text[1:], `"`)
			if !ok || strings.Contains(word, "\n") {
				return "", fmt.Errorf("line %d: a string has no end", p.line)
			}
			if word == "" {
				return "", fmt.Errorf("line %d: a string is empty", p.line)
			}
			p.text = rest
			return word, nil
		default:
			end := strings.IndexAny(p.text, " \t\r\n{};\"#")
			if end < 0 {
				end = len(p.text)
			}
			word := p.text[:end]
			p.text = p.text[end:]
			return word, nil
		}
	}
	return "", nil
}
