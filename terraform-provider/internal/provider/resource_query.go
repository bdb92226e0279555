package provider

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var (
	_ resource.ResourceWithConfigure   = (*queryResource)(nil)
	_ resource.ResourceWithImportState = (*queryResource)(nil)
)

const (
	defaultQueryTimeout  = 30 * time.Second // for the whole operation
	defaultQueryAnswered = 5 * time.Second  // for the answers
	maxRelayFactor       = 255
)

// queryResource is the resource gossip_query: a question that was asked once, and its answers.
type queryResource struct{ happened }

func newQueryResource() resource.Resource { return &queryResource{} }

type queryModel struct {
	Name         types.String   `tfsdk:"name"`
	Payload      types.String   `tfsdk:"payload"`
	FilterNodes  types.Set      `tfsdk:"filter_nodes"`
	FilterTags   types.Map      `tfsdk:"filter_tags"`
	RelayFactor  types.Int64    `tfsdk:"relay_factor"`
	QueryTimeout types.String   `tfsdk:"query_timeout"`
	MinResponses types.Int64    `tfsdk:"min_responses"`
	Triggers     types.Map      `tfsdk:"triggers"`
	Timeouts     timeouts.Value `tfsdk:"timeouts"`

	Responses       types.Map    `tfsdk:"responses"`
	ResponsesBase64 types.Map    `tfsdk:"responses_base64"`
	Responded       types.List   `tfsdk:"responded"`
	AskedAt         types.String `tfsdk:"asked_at"`
}

func (r *queryResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_query"
}

func (r *queryResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Asks the cluster a query, once, when it is created, and keeps the answers. Any change of the query or of `triggers` asks " +
			"again. Reading and destroying it ask nothing of the agent. **The answers are in the state**: ask nothing secret.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the query, which handlers answer as `query:NAME` with what they print.",
				PlanModifiers:       replace,
				Validators:          []validator.String{rule.QueryName()},
			},
			"payload": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Payload as text, which handlers read on their standard input.",
				PlanModifiers:       replace,
			},
			"filter_nodes": schema.SetAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Names of the nodes that are to answer. Defaults to all.",
				PlanModifiers:       []planmodifier.Set{setplanmodifier.RequiresReplace()},
			},
			"filter_tags": schema.MapAttribute{
				ElementType: types.StringType,
				Optional:    true,
				MarkdownDescription: "Tags of the members that are to answer, each with a regular expression that must match the value as a whole. " +
					"Defaults to any.",
				PlanModifiers: []planmodifier.Map{mapplanmodifier.RequiresReplace()},
				Validators:    []validator.Map{mapvalidator.ValueStringsAre(rule.NameRegex())},
			},
			"relay_factor": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "How many other members relay each answer besides, for networks that lose packets. Defaults to `0`.",
				PlanModifiers:       []planmodifier.Int64{int64planmodifier.RequiresReplace()},
				Validators:          []validator.Int64{int64validator.Between(0, maxRelayFactor)},
			},
			"query_timeout": durationAttribute("How long to wait for answers. It ends as soon as all that are asked have answered. Defaults to `5s`.", time.Millisecond),
			"min_responses": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Fewest members that must answer, or the apply fails. Defaults to `0`.",
				Validators:          []validator.Int64{int64validator.AtLeast(0)},
			},
			"triggers": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Values of your own. A change of any of them asks again.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.RequiresReplace()},
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create:            true,
				CreateDescription: "Longest time for the whole, dialling the agent included. Defaults to 30s, or the time for answers and 10s if that is more.",
			}),

			"responses": schema.MapAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Answers by node name, those that are UTF-8 text.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.UseStateForUnknown()},
			},
			"responses_base64": schema.MapAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "All answers by node name, in standard base64.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.UseStateForUnknown()},
			},
			"responded": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Names of the nodes that answered, sorted.",
				PlanModifiers:       []planmodifier.List{listplanmodifier.UseStateForUnknown()},
			},
			"asked_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When the answers were in, by the clock of the machine that runs Terraform, in RFC 3339.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

func (r *queryResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan queryModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	query := session.Query{
		Name:        plan.Name.ValueString(),
		Payload:     []byte(plan.Payload.ValueString()),
		RelayFactor: uint8(plan.RelayFactor.ValueInt64()), //nolint:gosec // a validator keeps it within
		Timeout:     duration(plan.QueryTimeout, defaultQueryAnswered),
	}
	resp.Diagnostics.Append(plan.FilterNodes.ElementsAs(ctx, &query.FilterNodes, false)...)
	resp.Diagnostics.Append(plan.FilterTags.ElementsAs(ctx, &query.FilterTags, false)...)
	timeout, diags := plan.Timeouts.Create(ctx, max(defaultQueryTimeout, query.Timeout+defaultRequestTimeout))
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	slices.Sort(query.FilterNodes)
	eligible, answers, err := ask(ctx, r.agent, query, nil)
	if err == nil {
		err = enough(query, len(eligible), answers, plan.MinResponses.ValueInt64())
	}
	if err != nil {
		addError(&resp.Diagnostics, fmt.Sprintf("The query %q was not answered", query.Name), err)
		return
	}
	plan.show(ctx, answers, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// show fills in the results.
func (m *queryModel) show(ctx context.Context, answers map[string][]byte, diags *diag.Diagnostics) {
	text, raw := map[string]string{}, map[string]string{}
	for node, payload := range answers {
		raw[node] = base64.StdEncoding.EncodeToString(payload)
		if utf8.Valid(payload) {
			text[node] = string(payload)
		}
	}
	var more diag.Diagnostics
	m.Responses, more = types.MapValueFrom(ctx, types.StringType, text)
	diags.Append(more...)
	m.ResponsesBase64, more = types.MapValueFrom(ctx, types.StringType, raw)
	diags.Append(more...)
	m.Responded, more = types.ListValueFrom(ctx, types.StringType, sortedUnique(slices.Collect(maps.Keys(answers))))
	diags.Append(more...)
	m.AskedAt = types.StringValue(time.Now().UTC().Format(time.RFC3339))
}

func (r *queryResource) ImportState(_ context.Context, _ resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resp.Diagnostics.AddError("A query cannot be imported",
		"It stands for the act of asking, and nothing of it is left on the agent to import. Write the resource, and let apply ask.")
}
