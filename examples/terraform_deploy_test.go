//go:build unix

package examples_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTerraformDeploy runs the example, which checks each of its own steps.
func TestTerraformDeploy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	need(t, "terraform", "tofu")
	ctx := within(t)
	program := filepath.Join(t.TempDir(), "terraform-deploy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./terraform-deploy").CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, program, "-bin", programs).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`HAProxy answers: web-1 runs v1, web-2 runs v1, web-3 runs v1`, `No changes`, `HAProxy answers: web-1 runs v2, web-2 runs v2\.`,
		`web-2: its handler failed .*exit 3`, `Destroy complete`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the example does not show %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
