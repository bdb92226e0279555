package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// providerVersion is what the provider is called in the mirror; nothing is downloaded, so any version will do.
const providerVersion = "0.1.0"

// Terraform is a working directory in which Terraform or OpenTofu uses the provider that was built here, and
// can download nothing.
type Terraform struct {
	Program string // path of terraform or tofu
	Dir     string
	stage   *Stage
	env     []string
}

// ErrNoTerraform says that there is neither terraform nor tofu on the PATH.
var ErrNoTerraform = errors.New("neither terraform nor tofu is on the PATH")

// Terraform prepares a directory with one configuration file, main.tf. The provider is found in a mirror made of links
// to the stage's programs, as both programs look for it.
func (s *Stage) Terraform(config string) (*Terraform, error) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		if program, err = exec.LookPath("tofu"); err != nil {
			return nil, ErrNoTerraform
		}
	}
	mirror := s.Path("mirror")
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		dir := filepath.Join(mirror, host, "seed-645ce708", "gossip", providerVersion, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		link := filepath.Join(dir, "terraform-provider-gossip_v"+providerVersion)
		if err := os.Symlink(s.Program("terraform-provider-gossip"), link); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	rc, err := s.Write("cli.tfrc", fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	if err != nil {
		return nil, err
	}
	main, err := s.Write("terraform/main.tf", config)
	if err != nil {
		return nil, err
	}
	return &Terraform{
		Program: program,
		Dir:     filepath.Dir(main),
		stage:   s,
		env: []string{
			"TF_CLI_CONFIG_FILE=" + rc, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0",
			// What the caller has set for its own use must not reach in here.
			"TF_CLI_ARGS=-no-color", "TF_DATA_DIR=", "TF_WORKSPACE=", "TF_LOG=", "GOSSIP_RPC_ADDR=", "GOSSIP_RPC_AUTH=",
		},
	}, nil
}

// Name is "terraform" or "tofu".
func (t *Terraform) Name() string { return filepath.Base(t.Program) }

// Run runs a subcommand in the directory. An exit code other than zero is a Result, not an error, since `plan
// -detailed-exitcode` answers with it.
func (t *Terraform) Run(ctx context.Context, args ...string) (Result, error) {
	return t.stage.Run(ctx, t.env, t.Program, append([]string{"-chdir=" + t.Dir}, args...)...)
}

// Must is Run for where an exit code other than zero is an error.
func (t *Terraform) Must(ctx context.Context, args ...string) (string, error) {
	r, err := t.Run(ctx, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s %s: exit code %d: %s", t.Name(), strings.Join(args, " "), r.Code, strings.TrimSpace(r.Stdout+r.Stderr))
	}
	return r.Stdout, err
}
