//go:build unix

package examples_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestBalancers runs the examples of load balancers, each of which checks its own steps.
func TestBalancers(t *testing.T) {
	t.Parallel()
	for name, example := range map[string]struct {
		programs []string
		shows    []string
	}{
		"haproxy":   {[]string{"haproxy"}, []string{`web-3 DOWN`, `All were answered`, ` 0 failed, 0 reloads\.`}},
		"twemproxy": {[]string{"nutcracker", "memcached", "redis-server"}, []string{`Restarts: 0`, `on cache-1`}},
		"nginx":     {[]string{"nginx"}, []string{`tells what is wrong`, ` 0 failed, `}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, program := range example.programs {
				need(t, program)
			}
			ctx := within(t)
			program := filepath.Join(t.TempDir(), name)
			if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./"+name).CombinedOutput(); err != nil {
				t.Fatalf("build the example: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(ctx, program, "-bin", programs).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range example.shows {
				if !regexp.MustCompile(want).Match(out) {
					t.Errorf("the example does not show %q:\n%s", want, out)
				}
			}
		})
	}
}
