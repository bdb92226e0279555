package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
)

var _ datasource.DataSourceWithConfigure = (*membersDataSource)(nil)

// membersDataSource is the data source gossip_members.
type membersDataSource struct{ ofDataSource }

func newMembersDataSource() datasource.DataSource { return &membersDataSource{} }

type membersModel struct {
	Status    []string     `tfsdk:"status"`
	NameRegex types.String `tfsdk:"name_regex"`
	Tags      types.Map    `tfsdk:"tags"`
	Wait      *waitModel   `tfsdk:"wait"`
	Guard     *guardModel  `tfsdk:"guard"`
	readModel

	Observer  types.String           `tfsdk:"observer"`
	Members   []memberModel          `tfsdk:"members"`
	Names     []string               `tfsdk:"names"`
	Endpoints []string               `tfsdk:"endpoints"`
	ByName    map[string]memberModel `tfsdk:"by_name"`
	Total     types.Int64            `tfsdk:"total"`
	Digest    types.String           `tfsdk:"digest"`
}

func (d *membersDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_members"
}

func (d *membersDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Selects members as the agent sees them. By default these are the alive ones. A selection that matches " +
			"nobody is empty and no error; an agent that cannot be reached, or that is cut off from its cluster, is an error and never " +
			"an empty list.",
		Attributes: map[string]schema.Attribute{
			"status": schema.SetAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Statuses to select: `alive`, `leaving`, `left`, `failed`. Defaults to `[\"alive\"]`.",
				Validators: []validator.Set{
					setvalidator.SizeAtLeast(1),
					setvalidator.ValueStringsAre(stringvalidator.OneOf(membership.Statuses()...)),
				},
			},
			"name_regex": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Regular expression (RE2) that must match the node name as a whole: `web-.*` selects `web-1` and not `my-web-1`. " +
					"Defaults to any name.",
				Validators: []validator.String{rule.NameRegex()},
			},
			"tags": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Tags that the member must have, each with exactly this value.",
			},
			"wait":     waitDataSourceAttribute("Waits until the selection is as described here. Without it the first answer is taken.", true),
			"guard":    guardAttribute(),
			"timeouts": readTimeoutAttribute(ctx),

			"observer": schema.StringAttribute{Computed: true, MarkdownDescription: descObserver},
			"members": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Selected members, sorted by name.",
				NestedObject:        schema.NestedAttributeObject{Attributes: memberAttributes()},
			},
			"names": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Node names of the selected members, in the order of `members`.",
			},
			"endpoints": schema.ListAttribute{
				ElementType: types.StringType,
				Computed:    true,
				MarkdownDescription: "Gossip addresses of the selected members as `host:port`, with IPv6 in brackets, in the order of `members`. " +
					"They are what `gossip_join` takes as `peers`.",
			},
			"by_name": schema.MapAttribute{
				ElementType:         memberType(),
				Computed:            true,
				MarkdownDescription: "Selected members by node name, for `for_each`, with the fields of `members`.",
			},
			"total": schema.Int64Attribute{
				Computed:            true,
				MarkdownDescription: "Number of selected members.",
			},
			"digest": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "SHA-256 over name, address, status and tags of the selected members, in hexadecimal. It changes only when " +
					"one of these does, which makes it a good value for `triggers`.",
			},
		},
	}
}

func (d *membersDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &membersModel{})
}

func (m *membersModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	filter := membership.Filter{Statuses: m.Status}
	if m.Status == nil {
		filter.Statuses = []string{membership.Alive}
	}
	diags.Append(m.Tags.ElementsAs(ctx, &filter.Tags, false)...)
	if !m.NameRegex.IsNull() {
		expr, err := membership.CompileName(m.NameRegex.ValueString())
		if err != nil {
			diags.AddAttributeError(path.Root("name_regex"), "The value must be a regular expression", sentence(err.Error()))
		}
		filter.Name = expr
	}
	if diags.HasError() {
		return
	}
	view, selected, err := choose(ctx, sh.agent, m.Wait.want(), m.Guard.rule(), filter)
	if err != nil {
		addError(diags, "The members could not be read", err)
		return
	}
	m.show(view, selected)
}

// show fills in the results.
func (m *membersModel) show(view membership.View, selected []membership.Member) {
	m.Observer = types.StringValue(view.Observer)
	m.Members = make([]memberModel, 0, len(selected))
	m.Names = make([]string, 0, len(selected))
	m.Endpoints = make([]string, 0, len(selected))
	m.ByName = make(map[string]memberModel, len(selected))
	for _, member := range selected {
		shown := newMemberModel(member)
		m.Members = append(m.Members, shown)
		m.Names = append(m.Names, member.Name)
		m.Endpoints = append(m.Endpoints, member.Endpoint.String())
		m.ByName[member.Name] = shown
	}
	m.Total = types.Int64Value(int64(len(selected)))
	m.Digest = types.StringValue(membership.Digest(selected))
}
