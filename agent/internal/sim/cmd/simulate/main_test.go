package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	svg, data := filepath.Join(dir, "x.svg"), filepath.Join(dir, "x.json")
	var out, again, kept bytes.Buffer
	if err := run([]string{"-n", "10,20", "-svg", svg, "-json", data}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-n", "10,20"}, &again, io.Discard); err != nil || out.String() != again.String() {
		t.Errorf("the same seed gives other numbers (%v):\n%s\n%s", err, out.String(), again.String())
	}
	if err := run([]string{"-from", data}, &kept, io.Discard); err != nil || out.String() != kept.String() {
		t.Errorf("the numbers kept are others (%v):\n%s\n%s", err, out.String(), kept.String())
	}
	if n := strings.Count(out.String(), "serf-lan"); n != 2 {
		t.Errorf("%d lines for Serf's timing:\n%s", n, out.String())
	}
	text, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart is not XML: %v", err)
		}
	}
	if strings.Contains(string(text), "NaN") {
		t.Error("a chart with no numbers")
	}
	if err := run([]string{"-n", "3"}, io.Discard, io.Discard); err == nil {
		t.Error("three agents are no cluster")
	}
}
