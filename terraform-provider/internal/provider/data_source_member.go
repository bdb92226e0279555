package provider

import (
	"context"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

var _ datasource.DataSourceWithConfigure = (*memberDataSource)(nil)

// memberDataSource is the data source gossip_member.
type memberDataSource struct{ ofDataSource }

func newMemberDataSource() datasource.DataSource { return &memberDataSource{} }

// oneWaitModel is the argument wait where there is but one member to wait for.
type oneWaitModel struct {
	StableFor types.String `tfsdk:"stable_for"`
	Poll      types.String `tfsdk:"poll"`
}

type oneMemberModel struct {
	Name   types.String  `tfsdk:"name"`
	Status types.String  `tfsdk:"status"`
	Wait   *oneWaitModel `tfsdk:"wait"`
	Guard  *guardModel   `tfsdk:"guard"`
	readModel

	Observer types.String      `tfsdk:"observer"`
	Address  types.String      `tfsdk:"address"`
	Port     types.Int64       `tfsdk:"port"`
	Endpoint types.String      `tfsdk:"endpoint"`
	Tags     map[string]string `tfsdk:"tags"`
	Protocol types.Int64       `tfsdk:"protocol"`
}

func (d *memberDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_member"
}

func (d *memberDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Looks up one member by name, as the agent sees it. It is an error if there is no such member, or if it has " +
			"another status than is asked for; with `wait`, only once the time is up.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: descName,
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"status": schema.StringAttribute{
				Optional:            true,
				Computed:            true,
				MarkdownDescription: "Status that the member must have: `alive`, `leaving`, `left` or `failed`. Defaults to `alive`.",
				Validators:          []validator.String{stringvalidator.OneOf(membership.Statuses()...)},
			},
			"wait":     waitDataSourceAttribute("Waits until the member is there with that status. `wait = {}` waits without further conditions.", false),
			"guard":    guardAttribute(),
			"timeouts": readTimeoutAttribute(ctx),

			"observer": schema.StringAttribute{Computed: true, MarkdownDescription: descObserver},
			"address":  schema.StringAttribute{Computed: true, MarkdownDescription: descAddress},
			"port":     schema.Int64Attribute{Computed: true, MarkdownDescription: descPort},
			"endpoint": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Gossip address as `host:port`, with IPv6 in brackets.",
			},
			"tags":     schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: descTags},
			"protocol": schema.Int64Attribute{Computed: true, MarkdownDescription: descProtocol},
		},
	}
}

func (d *memberDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &oneMemberModel{})
}

func (m *oneMemberModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	name, status := m.Name.ValueString(), membership.Alive
	if known(m.Status) {
		status = m.Status.ValueString()
	}
	filter := membership.Filter{
		Name:     regexp.MustCompile("^" + regexp.QuoteMeta(name) + "$"),
		Statuses: []string{status},
	}
	var wait *waitModel
	if m.Wait != nil {
		wait = &waitModel{Min: types.Int64Value(1), StableFor: m.Wait.StableFor, Poll: m.Wait.Poll}
	}
	view, selected, err := choose(ctx, sh.agent, wait.want(), m.Guard.rule(), filter)
	if err != nil {
		addError(diags, fmt.Sprintf("The member %q could not be read", name), err)
		return
	}
	if len(selected) == 0 {
		detail := fmt.Sprintf("%s knows no member of that name; it sees: %s.", view.Observer, membership.Summary(view.Members))
		if m, ok := view.Member(name); ok {
			detail = fmt.Sprintf("%s sees it as %s. Ask for that with `status`, or wait for the change with `wait`.", view.Observer, m.Status)
		}
		diags.AddAttributeError(path.Root("name"), fmt.Sprintf("There is no member %q with status %s", name, status), detail)
		return
	}
	m.show(view, selected[0])
}

// show fills in the results.
func (m *oneMemberModel) show(view membership.View, member membership.Member) {
	m.Observer = types.StringValue(view.Observer)
	m.Address = types.StringValue(member.Endpoint.Addr().String())
	m.Port = types.Int64Value(int64(member.Endpoint.Port()))
	m.Endpoint = types.StringValue(member.Endpoint.String())
	m.Status = types.StringValue(member.Status)
	m.Tags = member.Tags
	m.Protocol = types.Int64Value(member.Protocol)
}
