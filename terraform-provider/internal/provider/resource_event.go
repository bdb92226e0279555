package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/size"
)

var (
	_ resource.ResourceWithConfigure        = (*eventResource)(nil)
	_ resource.ResourceWithConfigValidators = (*eventResource)(nil)
	_ resource.ResourceWithImportState      = (*eventResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*eventResource)(nil)
)

const defaultEventTimeout = 30 * time.Second

// eventResource is the resource gossip_event. It stands for the act of firing and for nothing on the agent,
// so that only its creation needs one.
type eventResource struct{ happened }

func newEventResource() resource.Resource { return &eventResource{} }

type eventModel struct {
	Name             types.String   `tfsdk:"name"`
	Payload          types.String   `tfsdk:"payload"`
	PayloadBase64    types.String   `tfsdk:"payload_base64"`
	PayloadWO        types.String   `tfsdk:"payload_wo"`
	PayloadWOVersion types.String   `tfsdk:"payload_wo_version"`
	Coalesce         types.Bool     `tfsdk:"coalesce"`
	Triggers         types.Map      `tfsdk:"triggers"`
	Wait             types.Object   `tfsdk:"wait"`
	Gate             types.Object   `tfsdk:"gate"`
	OnDestroy        types.Object   `tfsdk:"on_destroy"`
	Timeouts         timeouts.Value `tfsdk:"timeouts"`
	FiredAt          types.String   `tfsdk:"fired_at"`
	FiredBy          types.String   `tfsdk:"fired_by"`
	LamportTime      types.Int64    `tfsdk:"lamport_time"`
	Receipts         types.Map      `tfsdk:"receipts"`
	Approved         types.List     `tfsdk:"approved"`
}

func (r *eventResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_event"
}

func (r *eventResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Fires a user event into the cluster, once, when it is created. Any change of the event or of `triggers` replaces " +
			"the resource and so fires again. Reading and destroying it ask nothing of the agent. An apply that fails leaves nothing behind, " +
			"and the next one fires again: within one apply the event is fired at most once, over several at least once.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the event, which handlers listen for as `user:NAME`.",
				PlanModifiers:       replace,
				Validators:          []validator.String{rule.EventName()},
			},
			"payload": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Payload as text, which handlers read on their standard input. At most one of `payload`, `payload_base64` and " +
					"`payload_wo` may be set.",
				PlanModifiers: replace,
			},
			"payload_base64": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Payload in standard base64, for bytes that are no text.",
				PlanModifiers:       replace,
				Validators:          []validator.String{rule.Base64()},
			},
			"payload_wo": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				WriteOnly: true,
				MarkdownDescription: "Payload as text that is kept neither in the plan nor in the state, and may come from an ephemeral value. It needs " +
					"`payload_wo_version`, and Terraform 1.11 or newer. Every member of the cluster can read it.",
				Validators: []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("payload_wo_version"))},
			},
			"payload_wo_version": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Any text or number that changes when `payload_wo` does. A change fires the event again.",
				PlanModifiers:       replace,
				Validators:          []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("payload_wo"))},
			},
			"coalesce": schema.BoolAttribute{
				Optional: true,
				Computed: true,
				Default:  booldefault.StaticBool(false),
				MarkdownDescription: "Whether a member that gets several events of this name in short order may handle the last of them only. " +
					"Defaults to `false`, so that no deploy swallows the one before it.",
				PlanModifiers: []planmodifier.Bool{boolplanmodifier.RequiresReplace()},
			},
			"triggers": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Values of your own. A change of any of them fires the event again.",
				PlanModifiers:       []planmodifier.Map{mapplanmodifier.RequiresReplace()},
			},
			"wait": schema.SingleNestedAttribute{
				Optional: true,
				MarkdownDescription: "Waits for receipts: until it is known which members got the event and how their handlers came out. A member that did " +
					"not get it, or whose handler failed, fails the apply. Members of stock Serf cannot tell and do not count. A stock Serf agent " +
					"to talk to cannot wait, and fires nothing.",
				Attributes: map[string]schema.Attribute{
					"timeout": durationAttribute("Longest time to wait for receipts. Defaults to `30s`; at most `10m`.", time.Millisecond),
					"accept_failures": schema.Int64Attribute{
						Optional:            true,
						MarkdownDescription: "Number of members that may miss the event or fail to handle it. Defaults to `0`.",
						Validators:          []validator.Int64{int64validator.AtLeast(0)},
					},
				},
			},
			"gate": gateAttribute("After the event, asks members a query until enough of them answer as expected. If too few do in time, the apply fails and " +
				"names the others: a deploy that knows whether it worked. A change of the gate alone neither fires nor asks again."),
			"on_destroy": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "An event to fire when the resource is destroyed, or replaced. Destroying then needs the agent.",
				Attributes: map[string]schema.Attribute{
					"name": schema.StringAttribute{
						Required:            true,
						MarkdownDescription: "Name of the event.",
						Validators:          []validator.String{rule.EventName()},
					},
					"payload": schema.StringAttribute{Optional: true, MarkdownDescription: "Payload as text."},
				},
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create: true, Delete: true,
				CreateDescription: "Longest time for firing, dialling the agent included; the times of waiting and of the gate come on top. Defaults to 30s.",
				DeleteDescription: "Longest time for firing the event at the end. Defaults to 30s.",
			}),

			"fired_at": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "When the agent had taken the event, by the clock of the machine that runs Terraform, in RFC 3339.",
				PlanModifiers:       keep,
			},
			"fired_by": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Node name of the agent that took the event.",
				PlanModifiers:       keep,
			},
			"lamport_time": schema.Int64Attribute{
				Computed:            true,
				MarkdownDescription: "Lamport time of the event, which the agents' logs and handlers name. Null without `wait`: only receipts tell it.",
				PlanModifiers:       []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
			},
			"receipts": schema.MapAttribute{
				ElementType: types.StringType,
				Computed:    true,
				MarkdownDescription: "What became of the event on each member, by node name, such as `ok`, `no-handler`, `gone` or `unknown`. Empty " +
					"without `wait`.",
				PlanModifiers: []planmodifier.Map{mapplanmodifier.UseStateForUnknown()},
			},
			"approved": schema.ListAttribute{
				ElementType:         types.StringType,
				Computed:            true,
				MarkdownDescription: "Names of the members that answered the `gate` as expected, sorted. Empty without `gate`.",
				PlanModifiers:       []planmodifier.List{listplanmodifier.UseStateForUnknown()},
			},
		},
	}
}

func (r *eventResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{resourcevalidator.Conflicting(
		path.MatchRoot("payload"), path.MatchRoot("payload_base64"), path.MatchRoot("payload_wo"))}
}

// ModifyPlan refuses an event that the agent would refuse for its size, if that is known.
func (r *eventResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || r.shared == nil {
		return // to be destroyed, or only validated
	}
	var config eventModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	for _, v := range []attr.Value{config.Name, config.Payload, config.PayloadBase64, config.PayloadWO} {
		if v.IsUnknown() {
			return
		}
	}
	payload, err := config.payload()
	if err != nil {
		resp.Diagnostics.AddError("The payload cannot be read", sentence(err.Error()))
		return
	}
	if bytes := int64(size.Event(config.Name.ValueString(), len(payload))); bytes > r.eventSizeLimit {
		resp.Diagnostics.AddError("The event is too large", fmt.Sprintf(
			"Name and payload have %d bytes together, and the agent takes %d. Send a reference to the data instead, or, if the agents' "+
				"user_event_size_limit is higher, set `event_size_limit` in the provider block to the same.", bytes, r.eventSizeLimit))
	}
}

// payload returns the bytes to send. The model must be of the configuration, which alone has payload_wo.
func (m *eventModel) payload() ([]byte, error) {
	switch {
	case known(m.PayloadBase64):
		payload, err := base64.StdEncoding.DecodeString(m.PayloadBase64.ValueString())
		if err != nil {
			return nil, fmt.Errorf("payload_base64 is not standard base64: %w", err)
		}
		return payload, nil
	case known(m.PayloadWO):
		return []byte(m.PayloadWO.ValueString()), nil
	case known(m.Payload):
		return []byte(m.Payload.ValueString()), nil
	}
	return nil, nil
}

func (r *eventResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config eventModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, defaultEventTimeout)
	resp.Diagnostics.Append(diags...)
	payload, err := config.payload()
	if err != nil {
		resp.Diagnostics.AddError("The payload cannot be read", sentence(err.Error()))
	}
	if resp.Diagnostics.HasError() {
		return
	}

	r.fire(ctx, timeout, &plan, payload, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return // without state: the next apply fires again
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// fire fires the event, waits for receipts and passes the gate, as far as m asks for these, and fills in the results.
func (r *eventResource) fire(ctx context.Context, timeout time.Duration, m *eventModel, payload []byte, diags *diag.Diagnostics) {
	var wait *receiptsModel
	var pass *gateModel
	if known(m.Wait) {
		wait = &receiptsModel{}
		diags.Append(m.Wait.As(ctx, wait, objectOptions)...)
	}
	if known(m.Gate) {
		pass = &gateModel{}
		diags.Append(m.Gate.As(ctx, pass, objectOptions)...)
	}
	if diags.HasError() {
		return
	}
	event := session.Event{Name: m.Name.ValueString(), Payload: payload, Coalesce: m.Coalesce.ValueBool()}
	node, receipts, err := wait.fire(ctx, timeout, r.agent, event)
	if err != nil {
		detail := explain(err)
		var failure *session.Error
		if errors.As(err, &failure) && !failure.NotSent() && !failure.Refused() {
			detail += "\n\nThe event may have been fired all the same. The next apply fires it again."
		}
		diags.AddError(fmt.Sprintf("The event %q could not be fired", event.Name), detail)
		return
	}
	m.FiredAt = types.StringValue(time.Now().UTC().Format(time.RFC3339))
	m.FiredBy = types.StringValue(node)
	m.LamportTime = types.Int64Null()
	outcomes := map[string]string{}
	if wait != nil {
		m.LamportTime = types.Int64Value(int64(receipts.LTime)) //nolint:gosec // a logical clock never comes near 2^63
		for _, receipt := range receipts.Receipts {
			outcomes[receipt.Node] = receipt.Status
		}
		if failed := failures(receipts); int64(len(failed)) > wait.AcceptFailures.ValueInt64() {
			diags.AddError(fmt.Sprintf("The event %q was fired, and did not go well everywhere", event.Name), fmt.Sprintf(
				"Of %d members, %d failed and %d may:\n%s\n\n`gossip why NODE` and the log of the agent tell more. The next apply fires the event again.",
				len(receipts.Receipts), len(failed), wait.AcceptFailures.ValueInt64(), strings.Join(failed, "\n")))
			return
		}
	}
	approved := []string{}
	if pass != nil {
		verdict, err := pass.pass(ctx, r.agent, diags)
		if err != nil {
			diags.AddAttributeError(path.Root("gate"), fmt.Sprintf("The event %q was fired, and the gate did not open", event.Name), explain(err)+
				"\n\nThe next apply fires the event again and asks anew.")
			return
		}
		approved = append(approved, verdict.Good...)
	}
	var more diag.Diagnostics
	m.Receipts, more = types.MapValueFrom(ctx, types.StringType, outcomes)
	diags.Append(more...)
	m.Approved, more = types.ListValueFrom(ctx, types.StringType, approved)
	diags.Append(more...)
}

// Delete forgets that the event was fired, which cannot be taken back, and fires the event of on_destroy.
func (r *eventResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state eventModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !known(state.OnDestroy) {
		return
	}
	var last lastEventModel
	resp.Diagnostics.Append(state.OnDestroy.As(ctx, &last, objectOptions)...)
	timeout, diags := state.Timeouts.Delete(ctx, defaultEventTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := r.agent.Fire(ctx, session.Event{Name: last.Name.ValueString(), Payload: []byte(last.Payload.ValueString())}); err != nil {
		resp.Diagnostics.AddError(fmt.Sprintf("The event %q of on_destroy could not be fired", last.Name.ValueString()), explain(err)+
			"\n\nTo do without, remove `on_destroy` and apply, or take the resource out of the state with `terraform state rm`.")
	}
}

func (r *eventResource) ImportState(_ context.Context, _ resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resp.Diagnostics.AddError("An event cannot be imported",
		"It stands for the act of firing, and nothing of it is left on the agent to import. Write the resource, and let apply fire the event; "+
			"or leave it out if the event must not be fired again.")
}
