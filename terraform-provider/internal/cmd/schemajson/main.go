// Command schemajson prints the provider's schemas as `terraform providers schema -json` does. It asks the provider
// itself, so that the pages generated from it cover what only newer programs know, such as actions, lists and identities.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/provider"
)

// name is how the generator of pages looks the provider up.
const name = "gossip"

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "schemajson:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	server := providerserver.NewProtocol6(provider.New("dev")())()
	schemas, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return err
	}
	identities, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		return err
	}
	for _, d := range append(schemas.Diagnostics, identities.Diagnostics...) {
		return errors.New(d.Summary + ": " + d.Detail)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{
		"format_version":   "1.0",
		"provider_schemas": map[string]any{name: describe(schemas, identities)},
	})
}

// object is a JSON object; empty entries are left out by set.
type object map[string]any

func (o object) set(key string, value any, there bool) {
	if there {
		o[key] = value
	}
}

func describe(schemas *tfprotov6.GetProviderSchemaResponse, identities *tfprotov6.GetResourceIdentitySchemasResponse) object {
	actions, functions, ids := object{}, object{}, object{}
	for name, a := range schemas.ActionSchemas {
		actions[name] = object{"block": block(a.Schema.Block)}
	}
	for name, f := range schemas.Functions {
		functions[name] = function(f)
	}
	for name, s := range identities.IdentitySchemas {
		attributes := object{}
		for _, a := range s.IdentityAttributes {
			attribute := object{"type": typeOf(a.Type)}
			attribute.set("description", a.Description, a.Description != "")
			attribute.set("required_for_import", true, a.RequiredForImport)
			attribute.set("optional_for_import", true, a.OptionalForImport)
			attributes[a.Name] = attribute
		}
		ids[name] = object{"version": s.Version, "attributes": attributes}
	}
	return object{
		"provider":                   schema(schemas.Provider),
		"resource_schemas":           all(schemas.ResourceSchemas),
		"data_source_schemas":        all(schemas.DataSourceSchemas),
		"ephemeral_resource_schemas": all(schemas.EphemeralResourceSchemas),
		"list_resource_schemas":      all(schemas.ListResourceSchemas),
		"action_schemas":             actions,
		"functions":                  functions,
		"resource_identity_schemas":  ids,
	}
}

func all(schemas map[string]*tfprotov6.Schema) object {
	o := object{}
	for name, s := range schemas {
		o[name] = schema(s)
	}
	return o
}

func schema(s *tfprotov6.Schema) object {
	return object{"version": s.Version, "block": block(s.Block)}
}

// block describes a block. The provider has no nested blocks, which a test of it ensures.
func block(b *tfprotov6.SchemaBlock) object {
	o := object{"description_kind": kind(b.DescriptionKind)}
	o.set("description", b.Description, b.Description != "")
	o.set("attributes", attributes(b.Attributes), len(b.Attributes) > 0)
	return o
}

func attributes(list []*tfprotov6.SchemaAttribute) object {
	o := object{}
	for _, a := range list {
		one := object{"description_kind": kind(a.DescriptionKind)}
		one.set("description", a.Description, a.Description != "")
		one.set("required", true, a.Required)
		one.set("optional", true, a.Optional)
		one.set("computed", true, a.Computed)
		one.set("sensitive", true, a.Sensitive)
		one.set("write_only", true, a.WriteOnly)
		one.set("deprecated", true, a.Deprecated)
		if a.NestedType == nil {
			one["type"] = typeOf(a.Type)
		} else {
			one["nested_type"] = object{
				"attributes":   attributes(a.NestedType.Attributes),
				"nesting_mode": nesting[a.NestedType.Nesting],
			}
		}
		o[a.Name] = one
	}
	return o
}

var nesting = map[tfprotov6.SchemaObjectNestingMode]string{
	tfprotov6.SchemaObjectNestingModeSingle: "single",
	tfprotov6.SchemaObjectNestingModeList:   "list",
	tfprotov6.SchemaObjectNestingModeSet:    "set",
	tfprotov6.SchemaObjectNestingModeMap:    "map",
}

func function(f *tfprotov6.Function) object {
	o := object{"description": f.Description, "return_type": typeOf(f.Return.Type)}
	o.set("summary", f.Summary, f.Summary != "")
	var parameters []object
	for _, p := range f.Parameters {
		parameters = append(parameters, parameter(p))
	}
	o.set("parameters", parameters, len(parameters) > 0)
	if f.VariadicParameter != nil {
		o["variadic_parameter"] = parameter(f.VariadicParameter)
	}
	return o
}

func parameter(p *tfprotov6.FunctionParameter) object {
	o := object{"name": p.Name, "type": typeOf(p.Type)}
	o.set("description", p.Description, p.Description != "")
	o.set("is_nullable", true, p.AllowNullValue)
	return o
}

func kind(k tfprotov6.StringKind) string {
	if k == tfprotov6.StringKindMarkdown {
		return "markdown"
	}
	return "plain"
}

// typeOf returns the type in its JSON form.
func typeOf(t interface{ MarshalJSON() ([]byte, error) }) json.RawMessage {
	text, err := t.MarshalJSON()
	if err != nil {
		panic(err) // every type of a schema has a JSON form
	}
	return text
}
