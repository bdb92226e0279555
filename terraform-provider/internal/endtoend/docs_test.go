package endtoend

import (
	"os"
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
