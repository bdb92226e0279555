// Package tftest finds the Terraform or OpenTofu that tests drive, and sets up folders in which it finds the
// provider and asks no registry for anything.
package tftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// envBinary names the program to use; without it terraform, and then tofu, is looked for on the PATH.
const envBinary = "GOSSIP_TERRAFORM"

// Version is under which the provider is put into a [Workspace].
const Version = "0.0.1"

// Binary is a Terraform or an OpenTofu.
type Binary struct {
	Path string
	Tofu bool
}

// Host returns the registry that the program assumes where a provider's source names none.
func (b Binary) Host() string {
	if b.Tofu {
		return "registry.opentofu.org"
	}
	return "registry.terraform.io"
}

// Find returns the program to use.
var Find = sync.OnceValues(func() (Binary, error) {
	path := os.Getenv(envBinary)
	for _, name := range []string{"terraform", "tofu"} {
		if path != "" {
			break
		}
		path, _ = exec.LookPath(name) // not found is told below
	}
	if path == "" {
		return Binary{}, fmt.Errorf("there is neither terraform nor tofu on the PATH, and %s names none", envBinary)
	}
	cmd := exec.CommandContext(context.Background(), path, "version")
	cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE="+os.DevNull)
	out, err := cmd.Output()
	if err != nil {
		return Binary{}, fmt.Errorf("%s version: %w", path, err)
	}
	return Binary{Path: path, Tofu: strings.Contains(string(out), "OpenTofu v")}, nil
})

// Require returns the program to use. Without one it skips the test, or fails it where CI=true.
func Require(tb testing.TB) Binary {
	tb.Helper()
	b, err := Find()
	switch {
	case err == nil:
		return b
	case os.Getenv("CI") == "true":
		tb.Fatalf("this test needs Terraform or OpenTofu: %v", err)
	default:
		tb.Skipf("this test needs Terraform or OpenTofu: %v", err)
	}
	return b
}

// UseInProcess prepares the environment of a whole test binary for acceptance tests that run the provider in
// the test's own process. Without a program to drive, it does nothing, and [Require] skips what needs it.
func UseInProcess(dir string) error {
	b, err := Find()
	if err != nil {
		return nil //nolint:nilerr // tests skip with this very error
	}
	config := filepath.Join(dir, "cli.tfrc")
	if err := os.WriteFile(config, []byte(cliConfig(dir)), 0o600); err != nil {
		return err
	}
	return errors.Join(
		os.Setenv("TF_ACC", "1"),
		os.Setenv("TF_ACC_TERRAFORM_PATH", b.Path),
		os.Setenv("TF_ACC_PROVIDER_HOST", b.Host()),
		os.Setenv("TF_ACC_PROVIDER_NAMESPACE", "hashicorp"),
		os.Setenv("TF_CLI_CONFIG_FILE", config),
		os.Setenv("CHECKPOINT_DISABLE", "1"),
	)
}

// cliConfig lets providers come from the mirror alone.
func cliConfig(mirror string) string {
	return fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
}

// Workspace is a folder with a configuration, and all that is needed to run it against the built provider.
type Workspace struct {
	Dir      string
	binary   Binary
	provider string
	config   string
	env      []string
}

// NewWorkspace puts a provider that was built into a filesystem mirror, and returns an empty folder. Each env
// is NAME=value for the commands that run there.
func NewWorkspace(tb testing.TB, provider string, env ...string) *Workspace {
	tb.Helper()
	w := &Workspace{Dir: tb.TempDir(), binary: Require(tb), provider: provider, env: env}
	root := tb.TempDir()
	place := filepath.Join(root, "mirror", w.binary.Host(), "seed-645ce708", "gossip", Version, runtime.GOOS+"_"+runtime.GOARCH)
	if err := os.MkdirAll(place, 0o755); err != nil {
		tb.Fatal(err)
	}
	name := strings.Replace(filepath.Base(provider), "gossip", "gossip_v"+Version, 1)
	if err := os.Symlink(provider, filepath.Join(place, name)); err != nil {
		tb.Fatal(err)
	}
	w.config = filepath.Join(root, "cli.tfrc")
	if err := os.WriteFile(w.config, []byte(cliConfig(filepath.Join(root, "mirror"))), 0o600); err != nil {
		tb.Fatal(err)
	}
	return w
}

// Write puts a file into the folder.
func (w *Workspace) Write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Run runs the program with these arguments and returns what it printed, standard error included. It fails
// the test if the program fails.
func (w *Workspace) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := w.Try(tb, args...)
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", filepath.Base(w.binary.Path), strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Run for commands that may fail.
func (w *Workspace) Try(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	out, err := w.command(tb, args...).CombinedOutput()
	return string(out), err
}

// Measure is Run, and returns the memory in bytes of the largest process that took part: the program or a provider. It is 0
// where the system does not tell.
func (w *Workspace) Measure(tb testing.TB, args ...string) int64 {
	tb.Helper()
	cmd := w.command(tb, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v\n%s", filepath.Base(w.binary.Path), strings.Join(args, " "), err, out)
	}
	return peakMemory(cmd.ProcessState)
}

func (w *Workspace) command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), w.binary.Path, args...)
	cmd.Dir = w.Dir
	cmd.Env = append(os.Environ(),
		"TF_CLI_CONFIG_FILE="+w.config,
		"CHECKPOINT_DISABLE=1",
		"TF_IN_AUTOMATION=1",
		"TF_INPUT=0",
		"TF_CLI_ARGS=-no-color",
	)
	cmd.Env = append(cmd.Env, w.env...)
	return cmd
}

// Build builds the provider into dir and returns its path.
func Build(dir string) (string, error) {
	path := filepath.Join(dir, "terraform-provider-gossip")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/seed-645ce708/gossip/terraform-provider")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the provider: %w\n%s", err, out)
	}
	return path, nil
}

// UseDevOverrides makes the program take the built provider from where it was built, without init.
func (w *Workspace) UseDevOverrides(tb testing.TB) {
	tb.Helper()
	w.Configure(tb, fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  dev_overrides {\n    %q = %q\n  }\n}\n",
		w.binary.Host()+"/seed-645ce708/gossip", filepath.Dir(w.provider)))
}

// Configure replaces the program's command-line configuration, which says where providers come from.
func (w *Workspace) Configure(tb testing.TB, text string) {
	tb.Helper()
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
