package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

var _ datasource.DataSourceWithConfigure = (*serviceDataSource)(nil)

// serviceDataSource is the data source gossip_service.
type serviceDataSource struct{ ofDataSource }

func newServiceDataSource() datasource.DataSource { return &serviceDataSource{} }

type serviceModel struct {
	Name            types.String `tfsdk:"name"`
	Tags            types.Map    `tfsdk:"tags"`
	IncludeDraining types.Bool   `tfsdk:"include_draining"`
	Wait            *waitModel   `tfsdk:"wait"`
	Guard           *guardModel  `tfsdk:"guard"`
	readModel

	Observer  types.String             `tfsdk:"observer"`
	Instances []instanceModel          `tfsdk:"instances"`
	Endpoints []string                 `tfsdk:"endpoints"`
	Addresses []string                 `tfsdk:"addresses"`
	ByNode    map[string]instanceModel `tfsdk:"by_node"`
	Total     types.Int64              `tfsdk:"total"`
	Digest    types.String             `tfsdk:"digest"`
}

// instanceModel is one instance of a service in results.
type instanceModel struct {
	Node     string            `tfsdk:"node"`
	Address  string            `tfsdk:"address"`
	Port     int64             `tfsdk:"port"`
	Endpoint string            `tfsdk:"endpoint"`
	Weight   int64             `tfsdk:"weight"`
	Priority int64             `tfsdk:"priority"`
	Draining bool              `tfsdk:"draining"`
	Tags     map[string]string `tfsdk:"tags"`
}

// instanceType is the plain type of an instance, for attributes that tests of modules can mock.
func instanceType() attr.Type {
	return types.ObjectType{AttrTypes: map[string]attr.Type{
		"node":     types.StringType,
		"address":  types.StringType,
		"port":     types.Int64Type,
		"endpoint": types.StringType,
		"weight":   types.Int64Type,
		"priority": types.Int64Type,
		"draining": types.BoolType,
		"tags":     types.MapType{ElemType: types.StringType},
	}}
}

func (d *serviceDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_service"
}

func (d *serviceDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Finds the instances of a service as the agent's DNS would answer for it: members that are alive, do not come and go, " +
			"and publish the service with a tag `svc:NAME=PORT`, or as Serf's `role=NAME` with an optional `port`. No instance is an empty list and " +
			"no error; an agent that cannot be reached, or that is cut off from its cluster, is an error and never an empty list.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the service, such as `web`.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"tags": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Tags that the member must have besides, each with exactly this value.",
			},
			"include_draining": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to include instances that are marked as draining. Defaults to `false`.",
			},
			"wait":     waitDataSourceAttribute("Waits until the instances are as described here. Without it the first answer is taken.", true),
			"guard":    guardAttribute(),
			"timeouts": readTimeoutAttribute(ctx),

			"observer": schema.StringAttribute{Computed: true, MarkdownDescription: descObserver},
			"instances": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Instances, sorted by node name.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"node":    schema.StringAttribute{Computed: true, MarkdownDescription: descName},
					"address": schema.StringAttribute{Computed: true, MarkdownDescription: "IP address of the member."},
					"port":    schema.Int64Attribute{Computed: true, MarkdownDescription: "Port of the service; 0 if the tags name none."},
					"endpoint": schema.StringAttribute{
						Computed:            true,
						MarkdownDescription: "`address` and `port` as `host:port`, with IPv6 in brackets; empty without a port.",
					},
					"weight":   schema.Int64Attribute{Computed: true, MarkdownDescription: "Relative share among instances of equal priority."},
					"priority": schema.Int64Attribute{Computed: true, MarkdownDescription: "Instances of the lowest priority are used first."},
					"draining": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the instance is to get nothing new."},
					"tags":     schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: descTags},
				}},
			},
			"endpoints": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "The `endpoint` of each instance that has a port, in the order of `instances`.",
			},
			"addresses": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "IP addresses of the instances, in the order of `instances`.",
			},
			"by_node": schema.MapAttribute{
				ElementType:         instanceType(),
				Computed:            true,
				MarkdownDescription: "Instances by node name, for `for_each`, with the fields of `instances`.",
			},
			"total": schema.Int64Attribute{Computed: true, MarkdownDescription: "Number of instances."},
			"digest": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "SHA-256 over the instances, in hexadecimal. It changes only when one of them does, which makes it a good value " +
					"for `triggers`.",
			},
		},
	}
}

func (d *serviceDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	read(ctx, d.shared, req, resp, &serviceModel{})
}

func (m *serviceModel) look(ctx context.Context, sh *shared, diags *diag.Diagnostics) {
	filter := membership.Filter{
		Statuses: []string{membership.Alive},
		Service:  &membership.ServiceFilter{Name: m.Name.ValueString(), Draining: m.IncludeDraining.ValueBool()},
	}
	diags.Append(m.Tags.ElementsAs(ctx, &filter.Tags, false)...)
	if diags.HasError() {
		return
	}
	view, selected, err := choose(ctx, sh.agent, m.Wait.want(), m.Guard.rule(), filter)
	if err != nil {
		addError(diags, "The service could not be read", err)
		return
	}
	m.show(view.Observer, membership.Instances(selected, m.Name.ValueString()))
}

// show fills in the results.
func (m *serviceModel) show(observer string, instances []membership.Instance) {
	m.Observer = types.StringValue(observer)
	m.Instances = make([]instanceModel, 0, len(instances))
	m.Endpoints = make([]string, 0, len(instances))
	m.Addresses = make([]string, 0, len(instances))
	m.ByNode = make(map[string]instanceModel, len(instances))
	for _, i := range instances {
		shown := instanceModel{
			Node: i.Node, Address: i.Endpoint.Addr().String(), Port: int64(i.Endpoint.Port()),
			Weight: int64(i.Weight), Priority: int64(i.Priority), Draining: i.Draining, Tags: i.Tags,
		}
		if shown.Port != 0 {
			shown.Endpoint = i.Endpoint.String()
			m.Endpoints = append(m.Endpoints, shown.Endpoint)
		}
		m.Addresses = append(m.Addresses, shown.Address)
		m.Instances = append(m.Instances, shown)
		m.ByNode[i.Node] = shown
	}
	m.Total = types.Int64Value(int64(len(instances)))
	m.Digest = types.StringValue(membership.DigestInstances(instances))
}
