package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load lays files over c in the given order. Of a directory it takes the files that end in .json or .hcl, sorted
// by name, and looks into no directory below. A file that ends in .hcl is HCL, any other is JSON. An error
// names the file, the line and the key; c is then not changed by that file.
func Load(c *Config, paths ...string) error {
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			return err
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				return unreadable(file, err)
			}
			if err := loadFile(c, file, src); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadFile lays the text of one file over c.
func loadFile(c *Config, file string, src []byte) error {
	parse := parseJSON
	if isHCL(file) {
		parse = parseHCL
	}
	entries, err := parse(src)
	if err == nil {
		err = apply(c, entries)
	}
	if err == nil {
		return nil
	}
	if at := (*entryError)(nil); errors.As(err, &at) && at.line > 0 {
		return fmt.Errorf("error decoding '%s': line %d: %w", file, at.line, err)
	}
	return fmt.Errorf("error decoding '%s': %w", file, err)
}

// expand returns path itself if it is a file, or the configuration files in it if it is a directory.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	items, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, unreadable(path, err)
	}
	var files []string
	for _, item := range items {
		file := filepath.Join(path, item.Name())
		if !strings.HasSuffix(file, ".json") && !isHCL(file) {
			continue
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() { // a link counts as what it points to
			if err != nil {
				return nil, unreadable(file, err)
			}
			continue
		}
		files = append(files, file)
	}
	return files, nil
}

func isHCL(file string) bool { return strings.HasSuffix(file, ".hcl") }

func unreadable(path string, err error) error {
	return fmt.Errorf("error reading '%s': %w (check -config-file and -config-dir)", path, bare(err))
}

// bare takes the operation and the path off an error that will be wrapped with a better wording of both.
func bare(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// parseJSON reads the first JSON value of src, which must be an object, and ignores what follows, as Serf does.
func parseJSON(src []byte) ([]entry, error) {
	dec := json.NewDecoder(bytes.NewReader(src))
	line := func() int { return 1 + bytes.Count(src[:min(int(dec.InputOffset()), len(src))], []byte("\n")) }
	fault := func(err error) error {
		at := line()
		if se := (*json.SyntaxError)(nil); errors.As(err, &se) {
			at = 1 + bytes.Count(src[:min(int(se.Offset), len(src))], []byte("\n"))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("unexpected end of JSON input")
		}
		return &entryError{at, err}
	}
	open, err := dec.Token()
	if err != nil {
		return nil, fault(err)
	}
	if open != json.Delim('{') {
		return nil, fault(errors.New("expected a JSON object"))
	}
	var entries []entry
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fault(err)
		}
		name, ok := key.(string)
		if !ok {
			return nil, fault(errors.New("expected a key in quotes"))
		}
		e := entry{key: name, line: line()}
		if err := dec.Decode(&e.value); err != nil {
			return nil, fault(err)
		}
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, fault(err)
	}
	return entries, nil
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
