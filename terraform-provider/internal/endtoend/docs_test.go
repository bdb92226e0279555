package endtoend

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// source says where the provider is found, for examples that leave it out.
const source = "terraform {\n  required_providers {\n    gossip = {\n      source = \"seed-645ce708/gossip\"\n    }\n  }\n}\n"

var example = regexp.MustCompile("(?ms)^```hcl\n(.*?)^```")

// Every example of the documentation is a valid configuration, and is written as terraform fmt writes it.
func TestExamplesInDocs(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(modules, "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "docs", "terraform.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		examples := example.FindAllStringSubmatch(string(text), -1)
		if len(examples) == 0 {
			t.Errorf("%s has no example", page)
		}
		for _, e := range examples {
			name := filepath.Base(filepath.Dir(page)) + "/" + strings.TrimSpace(strings.SplitN(e[1], "{", 2)[0])
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := tftest.NewWorkspace(t, provider)
				config := strings.ReplaceAll(e[1], "github.com/seed-645ce708/gossip//modules", filepath.Join(root, "modules"))
				w.Write(t, "main.tf", config)
				w.Run(t, "fmt", "-check", "-diff")
				if !strings.Contains(config, "required_providers") {
					w.Write(t, "versions.tf", source)
				}
				w.Run(t, "init")
				w.Run(t, "validate")
			})
		}
	}
}

// What docs/terraform.md says about installing the provider works as it stands there: the mirror is filled by the page's
// own shell commands, and each of its command-line configurations finds the provider. Only the home folder is another one.
func TestInstallInDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/terraform.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := func(language string) (out []string) {
		for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
			out = append(out, m[1])
		}
		return out
	}
	shell, configs := blocks("sh"), blocks("text")
	if len(shell) == 0 || !strings.Contains(shell[0], "mirror=") || len(configs) < 2 ||
		!strings.Contains(configs[0], "filesystem_mirror") || !strings.Contains(configs[1], "dev_overrides") {
		t.Fatalf("the page is another one than this test knows: %q, %q", shell, configs)
	}
	binary := tftest.Require(t)
	home := t.TempDir()
	checkout := filepath.Join(home, "gossip")
	if err := os.MkdirAll(filepath.Join(checkout, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(provider, filepath.Join(checkout, "bin", "terraform-provider-gossip")); err != nil {
		t.Fatal(err)
	}
	fill := exec.CommandContext(t.Context(), "sh", "-eu", "-c", shell[0])
	fill.Dir, fill.Env = checkout, append(os.Environ(), "HOME="+home)
	if out, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("mirror", func(t *testing.T) {
		t.Parallel()
		w := tftest.NewWorkspace(t, provider)
		w.Configure(t, strings.ReplaceAll(configs[0], "/home/me", home))
		w.Write(t, "main.tf", source)
		if out := w.Run(t, "init"); !strings.Contains(out, "seed-645ce708/gossip v0.1.0") {
			t.Errorf("init did not install the provider of the mirror:\n%s", out)
		}
	})
	t.Run("override", func(t *testing.T) {
		t.Parallel()
		w := tftest.NewWorkspace(t, provider)
		config := strings.ReplaceAll(configs[1], "/home/me", home)
		w.Configure(t, strings.ReplaceAll(config, "registry.terraform.io", binary.Host())) // as the page says
		w.Write(t, "main.tf", source+"data \"gossip_members\" \"all\" {}\n")
		w.Run(t, "validate")
	})
}

// The pages in docs are those that the schemas and examples make.
func TestDocsAreGenerated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	generate := exec.CommandContext(t.Context(), "../../../.ci/tfdocs", dir)
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pages := func(root string) map[string]string {
		found := map[string]string{}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, root)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	got, want := pages("../../docs"), pages(filepath.Join(dir, "docs"))
	for page, text := range want {
		if got[page] != text {
			t.Errorf("docs%s is not what the schemas and examples make; run .ci/tfdocs", page)
		}
	}
	for page := range got {
		if _, ok := want[page]; !ok {
			t.Errorf("docs%s is of something that is there no more; run .ci/tfdocs", page)
		}
	}
}

// Every example that the pages show is valid, those aside that Terraform 1.14 alone can read.
func TestProviderExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*/*/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no examples", err)
	}
	for _, file := range append(files, "../../examples/provider/provider.tf") {
		if strings.Contains(file, "/actions/") {
			continue
		}
		t.Run(strings.TrimPrefix(file, "../../examples/"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := tftest.NewWorkspace(t, provider)
			w.Write(t, "main.tf", string(text))
			w.Run(t, "fmt", "-check", "-diff")
			if !strings.Contains(string(text), "required_providers") {
				w.Write(t, "versions.tf", source)
			}
			w.Run(t, "init")
			w.Run(t, "validate")
		})
	}
}
