package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

var _ datasource.DataSourceWithConfigure = (*agentDataSource)(nil)

// agentDataSource is the data source gossip_agent.
type agentDataSource struct{ ofDataSource }

func newAgentDataSource() datasource.DataSource { return &agentDataSource{} }

type agentModel struct {
	IncludeStats types.Bool `tfsdk:"include_stats"`
	readModel

	Name      types.String      `tfsdk:"name"`
	Address   types.String      `tfsdk:"address"`
	Port      types.Int64       `tfsdk:"port"`
	Endpoint  types.String      `tfsdk:"endpoint"`
	Status    types.String      `tfsdk:"status"`
	Tags      map[string]string `tfsdk:"tags"`
	Protocol  types.Int64       `tfsdk:"protocol"`
	Encrypted types.Bool        `tfsdk:"encrypted"`
	Isolated  types.Bool        `tfsdk:"isolated"`
	Doubt     types.String      `tfsdk:"doubt"`
	Version   types.String      `tfsdk:"version"`
	Cluster   types.String      `tfsdk:"cluster"`
	Features  []string          `tfsdk:"features"`
	Counts    map[string]int64  `tfsdk:"counts"`
	Stats     map[string]string `tfsdk:"stats"`
}

func (d *agentDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_agent"
}

func (d *agentDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Tells about the agent that the provider talks to: who it is, and how it sees its cluster.",
		Attributes: map[string]schema.Attribute{
			"include_stats": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to fill in `stats`, which has other values at nearly every run. Defaults to `false`.",
			},
			"timeouts": readTimeoutAttribute(ctx),

			"name":    schema.StringAttribute{Computed: true, MarkdownDescription: descName},
			"address": schema.StringAttribute{Computed: true, MarkdownDescription: descAddress},
			"port":    schema.Int64Attribute{Computed: true, MarkdownDescription: descPort},
			"endpoint": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Gossip address as `host:port`, with IPv6 in brackets: what other agents join.",
			},
			"status":   schema.StringAttribute{Computed: true, MarkdownDescription: descStatus},
			"tags":     schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: descTags},
			"protocol": schema.Int64Attribute{Computed: true, MarkdownDescription: descProtocol},
			"encrypted": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether gossip is encrypted.",
			},
			"isolated": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether the agent is probably cut off: it says so, or sees no other member alive and at least one as failed.",
			},
			"doubt": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "Why the agent itself does not trust its view of the cluster; empty if it does, or does not say, as stock Serf " +
					"agents do not.",
			},
			"version": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Version of the gossip agent; empty for a stock Serf agent.",
			},
			"cluster": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Name of the cluster, if the agent's setting `cluster` gives one; empty if not, and for a stock Serf agent.",
			},
			"features": schema.SetAttribute{
				ElementType: types.StringType,
				Computed:    true,
				MarkdownDescription: "What the agent can do beyond Serf: `receipts` for `wait` of `gossip_event`, `confidence` for a full `guard`, " +
					"`primary_keys` for `primary_id` of `gossip_keyring`. Empty for a stock Serf agent.",
			},
			"counts": schema.MapAttribute{
				ElementType:         types.Int64Type,
				Computed:            true,
				MarkdownDescription: "Number of members by status; each of `alive`, `leaving`, `left` and `failed` has an entry.",
			},
			"stats": schema.MapAttribute{
				ElementType: types.StringType,
				Computed:    true,
				MarkdownDescription: "The agent's own figures as `section.key`, such as `serf.event_time`, if `include_stats` is true, else empty. " +
					"Use it for outputs, not for `triggers`.",
			},
		},
	}
}

func (d *agentDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &agentModel{})
}

func (m *agentModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	stats, view, err := sh.agent.Stats(ctx)
	if err != nil {
		addError(diags, "The agent could not be read", err)
		return
	}
	self, ok := view.Member(view.Observer)
	if !ok {
		diags.AddError("The agent does not list itself",
			"It calls itself "+view.Observer+", and lists: "+membership.Summary(view.Members)+". It may be starting or leaving; try again.")
		return
	}
	m.show(stats, view, self)
}

// show fills in the results.
func (m *agentModel) show(stats api.Stats, view membership.View, self membership.Member) {
	m.Name = types.StringValue(self.Name)
	m.Address = types.StringValue(self.Endpoint.Addr().String())
	m.Port = types.Int64Value(int64(self.Endpoint.Port()))
	m.Endpoint = types.StringValue(self.Endpoint.String())
	m.Status = types.StringValue(self.Status)
	m.Tags = self.Tags
	m.Protocol = types.Int64Value(self.Protocol)
	m.Encrypted = types.BoolValue(stats["serf"]["encrypted"] == "true")
	m.Isolated = types.BoolValue(view.Isolated() || stats["view"]["isolated"] == "true")
	m.Doubt = types.StringValue(view.Doubt)
	m.Version = types.StringValue(stats["gossip"]["version"])
	m.Cluster = types.StringValue(stats["gossip"]["cluster"])
	m.Features = []string{}
	if _, ours := stats["gossip"]; ours { // it was the first of our versions that had all of these
		m.Features = []string{"confidence", "primary_keys", "receipts"}
	}
	m.Counts = view.Counts()
	m.Stats = map[string]string{}
	if !m.IncludeStats.ValueBool() {
		return
	}
	for section, values := range stats {
		for key, value := range values {
			m.Stats[section+"."+key] = value
		}
	}
}
