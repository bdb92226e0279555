package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
)

var (
	_ resource.ResourceWithConfigure   = (*barrierResource)(nil)
	_ resource.ResourceWithImportState = (*barrierResource)(nil)
)

const defaultBarrierTimeout = 5 * time.Minute

// barrierResource is the resource gossip_barrier: it exists once the cluster was as wanted, and gives an order to what
// happens within one apply.
type barrierResource struct{ happened }

func newBarrierResource() resource.Resource { return &barrierResource{} }

type barrierModel struct {
	MinAlive  types.Int64    `tfsdk:"min_alive"`
	Tags      types.Map      `tfsdk:"tags"`
	StableFor types.String   `tfsdk:"stable_for"`
	Triggers  types.Map      `tfsdk:"triggers"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
	MetAt     types.String   `tfsdk:"met_at"`
	Names     types.List     `tfsdk:"names"`
}

func (r *barrierResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_barrier"
}

func (r *barrierResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Is created only once enough members are alive, so that whatever depends on it comes after that within one apply. Reading and " +
			"destroying it ask nothing of the agent. A view that the agent doubts does not count.",
		Attributes: map[string]schema.Attribute{
			"min_alive": schema.Int64Attribute{
				Required:            true,
				MarkdownDescription: "Fewest members that must be alive, with `tags` if given; the agent itself is one of them.",
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
				PlanModifiers:       []planmodifier.Int64{int64planmodifier.RequiresReplace()},
			},
			"tags": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Tags that the members must have, each with exactly this value.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.RequiresReplace()},
			},
			"stable_for": durationAttribute(descStableFor, 0),
			"triggers": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Values of your own. A change of any of them waits again.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.RequiresReplace()},
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create:            true,
				CreateDescription: "Longest time to wait. Defaults to 5m.",
			}),

			"met_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When the cluster was as wanted, by the clock of the machine that runs Terraform, in RFC 3339.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"names": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Names of the members that were alive then, sorted.",
				PlanModifiers:       []planmodifier.List{listplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

func (r *barrierResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan barrierModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	filter := membership.Filter{Statuses: []string{membership.Alive}}
	resp.Diagnostics.Append(plan.Tags.ElementsAs(ctx, &filter.Tags, false)...)
	timeout, diags := plan.Timeouts.Create(ctx, defaultBarrierTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	wait := membership.Wait{Min: plan.MinAlive.ValueInt64(), StableFor: duration(plan.StableFor, 0)}
	_, selected, err := wait.Until(ctx, r.agent.View, membership.Guard{RefuseIsolated: true}, filter)
	if err != nil {
		addError(&resp.Diagnostics, "The cluster is not as the barrier wants it", err)
		return
	}
	names := make([]string, 0, len(selected))
	for _, m := range selected {
		names = append(names, m.Name)
	}
	var more diag.Diagnostics
	plan.Names, more = types.ListValueFrom(ctx, types.StringType, names)
	resp.Diagnostics.Append(more...)
	plan.MetAt = types.StringValue(time.Now().UTC().Format(time.RFC3339))
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *barrierResource) ImportState(_ context.Context, _ resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resp.Diagnostics.AddError("A barrier cannot be imported",
		"It stands for a moment in which the cluster was as wanted. Write the resource, and let apply wait for that.")
}
