package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	listschema "github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ list.ListResourceWithConfigure = (*keyList)(nil)

// keyList lists the keys on the keyrings, for import. What it has in common with the resource it takes from there.
type keyList struct{ keyResource }

func newKeyList() list.ListResource { return &keyList{} }

func (l *keyList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = listschema.Schema{
		MarkdownDescription: "Lists the encryption keys that the nodes of the cluster have, by fingerprint and in its order.",
	}
}

func (l *keyList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	ring, err := l.agent.Keyring(ctx)
	if err != nil {
		var diags diag.Diagnostics
		addError(&diags, "The keyrings could not be read", err)
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	stream.Results = func(push func(list.ListResult) bool) {
		for i, id := range slices.Sorted(maps.Keys(ring.Keys)) {
			if int64(i) >= req.Limit {
				return
			}
			result := req.NewListResult(ctx)
			result.DisplayName = id
			result.Diagnostics.Append(result.Identity.Set(ctx, keyIdentity{types.StringValue(id)})...)
			if req.IncludeResource {
				result.Diagnostics.Append(result.Resource.SetAttribute(ctx, path.Root("key_id"), id)...)
				result.Diagnostics.Append(result.Resource.SetAttribute(ctx, path.Root("require_all"), true)...)
				result.Diagnostics.Append(result.Resource.SetAttribute(ctx, path.Root("complete"), ring.Keys[id] >= ring.Nodes)...)
			}
			if !push(result) {
				return
			}
		}
	}
}
