package provider

import (
	"context"
	"math"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

var _ datasource.DataSourceWithConfigure = (*coordinatesDataSource)(nil)

// coordinatesDataSource is the data source gossip_coordinates.
type coordinatesDataSource struct{ ofDataSource }

func newCoordinatesDataSource() datasource.DataSource { return &coordinatesDataSource{} }

type coordinatesModel struct {
	Nodes []string     `tfsdk:"nodes"`
	From  types.String `tfsdk:"from"`
	readModel

	Observer types.String       `tfsdk:"observer"`
	RTTms    map[string]float64 `tfsdk:"rtt_ms"`
	Unknown  []string           `tfsdk:"unknown"`
	Nearest  []string           `tfsdk:"nearest"`
}

func (d *coordinatesDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_coordinates"
}

func (d *coordinatesDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Estimates round-trip times between members from their network coordinates. **The figures differ at every run**: " +
			"use them for outputs, not for arguments of resources or for `triggers`.",
		Attributes: map[string]schema.Attribute{
			"nodes": schema.SetAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Node names to estimate for. Defaults to all members that are alive.",
				Validators:          []validator.Set{setvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
			},
			"from": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Node name to measure from. Defaults to the agent itself.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"timeouts": readTimeoutAttribute(ctx),

			"observer": schema.StringAttribute{Computed: true, MarkdownDescription: descObserver},
			"rtt_ms": schema.MapAttribute{
				ElementType:         types.Float64Type,
				Computed:            true,
				MarkdownDescription: "Estimated round-trip time in milliseconds, by node name; `from` itself is left out.",
			},
			"nearest": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "The nodes of `rtt_ms`, nearest first.",
			},
			"unknown": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Nodes of which the agent has no coordinate yet, sorted.",
			},
		},
	}
}

func (d *coordinatesDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &coordinatesModel{})
}

func (m *coordinatesModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	nodes := m.Nodes
	if nodes == nil {
		view, err := sh.agent.View(ctx)
		if err != nil {
			addError(diags, "The members could not be read", err)
			return
		}
		for _, m := range (membership.Filter{Statuses: []string{membership.Alive}}).Select(view.Members) {
			nodes = append(nodes, m.Name)
		}
	}
	asked := nodes
	if !m.From.IsNull() {
		asked = append([]string{m.From.ValueString()}, nodes...)
	}
	self, found, err := sh.agent.Coordinates(ctx, asked)
	if err != nil {
		addError(diags, "The coordinates could not be read", err)
		return
	}
	from := self
	if !m.From.IsNull() {
		from = m.From.ValueString()
	}
	origin, ok := found[from]
	if !ok {
		diags.AddAttributeError(path.Root("from"), "There is nothing to measure from",
			"The agent has no network coordinate of "+from+": there is no member of that name, coordinates are disabled, or it has just started.")
		return
	}
	m.show(self, from, origin, nodes, found)
}

// show fills in the results.
func (m *coordinatesModel) show(self, from string, origin api.Coordinate, nodes []string, found map[string]api.Coordinate) {
	m.Observer = types.StringValue(self)
	m.RTTms, m.Unknown = map[string]float64{}, []string{}
	for _, node := range nodes {
		if coordinate, ok := found[node]; !ok {
			m.Unknown = append(m.Unknown, node)
		} else if node != from {
			m.RTTms[node] = math.Round(membership.RTT(origin, coordinate).Seconds()*1e6) / 1e3
		}
	}
	m.Unknown = sortedUnique(m.Unknown)
	m.Nearest = nearestFirst(m.RTTms)
}
