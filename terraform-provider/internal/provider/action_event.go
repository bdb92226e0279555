package provider

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/size"
)

var (
	_ action.ActionWithConfigure  = (*eventAction)(nil)
	_ action.ActionWithModifyPlan = (*eventAction)(nil)
)

// eventAction is the action gossip_event, for Terraform 1.14 and newer: what the resource does, without a state.
type eventAction struct{ ofAction }

func newEventAction() action.Action { return &eventAction{} }

type eventActionModel struct {
	Name          types.String   `tfsdk:"name"`
	Payload       types.String   `tfsdk:"payload"`
	PayloadBase64 types.String   `tfsdk:"payload_base64"`
	Coalesce      types.Bool     `tfsdk:"coalesce"`
	WaitTimeout   types.String   `tfsdk:"wait_timeout"`
	Preflight     types.Bool     `tfsdk:"preflight"`
	Timeouts      timeouts.Value `tfsdk:"timeouts"`
}

func (a *eventAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_event"
}

func (a *eventAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Fires a user event into the cluster each time it is invoked. It needs Terraform 1.14 or newer; older ones have the resource of the " +
			"same name.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the event, which handlers listen for as `user:NAME`.",
				Validators:          []validator.String{rule.EventName()},
			},
			"payload": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Payload as text. At most one of `payload` and `payload_base64` may be set.",
			},
			"payload_base64": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Payload in standard base64, for bytes that are no text.",
				Validators:          []validator.String{rule.Base64()},
			},
			"coalesce": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether a member that gets several events of this name in short order may handle the last of them only. Defaults to `false`.",
			},
			"wait_timeout": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Waits this long for receipts, and fails if a member did not get the event or its handler failed. Defaults to not waiting. " +
					"A stock Serf agent cannot do it.",
				Validators: []validator.String{rule.Duration(time.Millisecond)},
			},
			"preflight": preflightAttribute(),
			"timeouts":  invokeTimeoutAttribute(ctx),
		},
	}
}

// ModifyPlan refuses an event that the agent would refuse for its size, if that is known, and looks ahead as every action does.
func (a *eventAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	a.ofAction.ModifyPlan(ctx, req, resp)
	var model eventActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() || a.shared == nil || model.Name.IsUnknown() || model.Payload.IsUnknown() || model.PayloadBase64.IsUnknown() {
		return
	}
	event := model.event(&resp.Diagnostics)
	if bytes := int64(size.Event(event.Name, len(event.Payload))); bytes > a.eventSizeLimit {
		resp.Diagnostics.AddError("The event is too large", fmt.Sprintf("Name and payload have %d bytes together, and the agent takes %d.", bytes, a.eventSizeLimit))
	}
}

func (m *eventActionModel) event(diags *diag.Diagnostics) session.Event {
	event := session.Event{Name: m.Name.ValueString(), Payload: []byte(m.Payload.ValueString()), Coalesce: m.Coalesce.ValueBool()}
	if known(m.PayloadBase64) {
		if known(m.Payload) {
			diags.AddError("There are two payloads", "Set payload or payload_base64, not both.")
		}
		payload, err := base64.StdEncoding.DecodeString(m.PayloadBase64.ValueString())
		if err != nil {
			diags.AddError("The payload cannot be read", sentence(err.Error()))
		}
		event.Payload = payload
	}
	return event
}

func (a *eventAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var model eventActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	event := model.event(&resp.Diagnostics)
	timeout, diags := model.Timeouts.Invoke(ctx, defaultEventTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	var wait *receiptsModel
	if known(model.WaitTimeout) {
		wait = &receiptsModel{Timeout: model.WaitTimeout}
	}
	node, receipts, err := wait.fire(ctx, timeout, a.agent, event)
	if err != nil {
		addError(&resp.Diagnostics, fmt.Sprintf("The event %q could not be fired", event.Name), err)
		return
	}
	resp.SendProgress(action.InvokeProgressEvent{Message: fmt.Sprintf("fired %s at %s", event.Name, node)})
	for _, receipt := range receipts.Receipts {
		resp.SendProgress(action.InvokeProgressEvent{Message: receipt.Node + ": " + receipt.Status})
	}
	if failed := failures(receipts); len(failed) > 0 {
		resp.Diagnostics.AddError(fmt.Sprintf("The event %q was fired, and did not go well everywhere", event.Name), strings.Join(failed, "\n"))
	}
}
