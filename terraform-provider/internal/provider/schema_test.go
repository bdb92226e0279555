package provider

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// secret is how attributes are called that hold one.
var secret = regexp.MustCompile(`(^|_)(token|secret|password|key|key_wo|payload_wo)$`)

// Every attribute is described, in sentences and in Markdown, and what looks like a secret is kept as one.
func TestSchemaQuality(t *testing.T) {
	t.Parallel()
	server := providerserver.NewProtocol6(New("test")())()
	schemas, err := server.GetProviderSchema(context.Background(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range schemas.Diagnostics {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	blocks := map[string]*tfprotov6.SchemaBlock{"provider": schemas.Provider.Block}
	for name, s := range schemas.DataSourceSchemas {
		blocks["data "+name] = s.Block
	}
	for name, s := range schemas.ResourceSchemas {
		blocks["resource "+name] = s.Block
	}
	for name, s := range schemas.EphemeralResourceSchemas {
		blocks["ephemeral "+name] = s.Block
	}
	for name, s := range schemas.ActionSchemas {
		blocks["action "+name] = s.Schema.Block
	}
	for name, s := range schemas.ListResourceSchemas {
		blocks["list "+name] = s.Block
	}
	for name, f := range schemas.Functions {
		describes(t, "function "+name, f.Description, f.DescriptionKind)
		for _, p := range f.Parameters {
			describes(t, "function "+name+"."+p.Name, p.Description, p.DescriptionKind)
		}
	}
	for name, block := range blocks {
		if name != "provider" {
			describes(t, name, block.Description, block.DescriptionKind)
		}
		if len(block.BlockTypes) > 0 {
			t.Errorf("%s has nested blocks; nested attributes are what this provider uses", name)
		}
		walk(t, name, block.Attributes)
	}
}

func walk(t *testing.T, parent string, attributes []*tfprotov6.SchemaAttribute) {
	t.Helper()
	for _, a := range attributes {
		name := parent + "." + a.Name
		describes(t, name, a.Description, a.DescriptionKind)
		if secret.MatchString(a.Name) && !a.Sensitive && !a.WriteOnly {
			t.Errorf("%s looks like a secret and is neither sensitive nor write-only", name)
		}
		if a.NestedType != nil {
			walk(t, name, a.NestedType.Attributes)
		}
	}
}

func describes(t *testing.T, name, text string, kind tfprotov6.StringKind) {
	t.Helper()
	switch {
	case text == "":
		t.Errorf("%s has no description", name)
	case !strings.HasSuffix(text, "."):
		t.Errorf("the description of %s has no final stop: %q", name, text)
	case strings.Contains(text, "`") && kind != tfprotov6.StringKindMarkdown:
		t.Errorf("the description of %s is Markdown, and is not declared as such: %q", name, text)
	}
}
