package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var _ datasource.DataSourceWithConfigure = (*keyringDataSource)(nil)

// keyringDataSource is the data source gossip_keyring.
type keyringDataSource struct{ ofDataSource }

func newKeyringDataSource() datasource.DataSource { return &keyringDataSource{} }

type keyringModel struct {
	readModel

	PrimaryID  types.String     `tfsdk:"primary_id"`
	KeyIDs     []string         `tfsdk:"key_ids"`
	Installed  map[string]int64 `tfsdk:"installed"`
	Nodes      types.Int64      `tfsdk:"nodes"`
	Consistent types.Bool       `tfsdk:"consistent"`
}

func (d *keyringDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_keyring"
}

func (d *keyringDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Tells which encryption keys the nodes of the cluster have, by fingerprint: never the keys themselves. " +
			"Every node is asked. It is an error if gossip is not encrypted, or if a node does not answer.",
		Attributes: map[string]schema.Attribute{
			"timeouts": readTimeoutAttribute(ctx),

			"primary_id": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "Fingerprint of the key that every node encrypts with. Null if nodes differ, or if the agent does not say, " +
					"as stock Serf agents do not.",
			},
			"key_ids": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Fingerprints of all keys that any node has, sorted.",
			},
			"installed": schema.MapAttribute{
				ElementType:         types.Int64Type,
				Computed:            true,
				MarkdownDescription: "Number of nodes that have each key, by fingerprint. Agents tell no names, so which nodes lack a key is not known here.",
			},
			"nodes": schema.Int64Attribute{
				Computed:            true,
				MarkdownDescription: "Number of nodes that were asked.",
			},
			"consistent": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether every node has every key, and all encrypt with the same one as far as the agent says.",
			},
		},
	}
}

func (d *keyringDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &keyringModel{})
}

func (m *keyringModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	ring, err := sh.agent.Keyring(ctx)
	if err != nil {
		addError(diags, "The keyrings could not be read", err)
		return
	}
	m.show(ring)
}

// show fills in the results.
func (m *keyringModel) show(ring session.Keyring) {
	m.KeyIDs = slices.Sorted(maps.Keys(ring.Keys))
	if m.KeyIDs == nil {
		m.KeyIDs = []string{}
	}
	m.Installed = make(map[string]int64, len(ring.Keys))
	consistent := len(ring.Primary) <= 1
	for id, nodes := range ring.Keys {
		m.Installed[id] = int64(nodes)
		consistent = consistent && nodes == ring.Nodes
	}
	m.PrimaryID = types.StringNull()
	if id, ok := ring.Sole(); ok {
		m.PrimaryID = types.StringValue(id)
	}
	m.Nodes = types.Int64Value(int64(ring.Nodes))
	m.Consistent = types.BoolValue(consistent)
}
