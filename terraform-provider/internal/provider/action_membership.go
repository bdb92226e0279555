package provider

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
)

var (
	_ action.ActionWithConfigure  = (*forceLeaveAction)(nil)
	_ action.ActionWithModifyPlan = (*forceLeaveAction)(nil)
	_ action.ActionWithConfigure  = (*rejoinAction)(nil)
	_ action.ActionWithModifyPlan = (*rejoinAction)(nil)
)

const defaultForceLeaveTimeout = time.Minute

// forceLeaveAction is the action gossip_force_leave.
type forceLeaveAction struct{ ofAction }

func newForceLeaveAction() action.Action { return &forceLeaveAction{} }

type forceLeaveModel struct {
	Name      types.String   `tfsdk:"name"`
	Prune     types.Bool     `tfsdk:"prune"`
	Preflight types.Bool     `tfsdk:"preflight"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
}

func (a *forceLeaveAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_force_leave"
}

func (a *forceLeaveAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes the cluster regard a failed member as one that left, so that nobody looks for it any more. A member that is alive comes back at " +
			"once; one that nobody knows is no error. It needs Terraform 1.14 or newer.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Node name of the member.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"prune": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether everybody forgets the member at once. Defaults to `false`.",
			},
			"preflight": preflightAttribute(),
			"timeouts":  invokeTimeoutAttribute(ctx),
		},
	}
}

func (a *forceLeaveAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var model forceLeaveModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	timeout, diags := model.Timeouts.Invoke(ctx, defaultForceLeaveTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := a.agent.ForceLeave(ctx, model.Name.ValueString(), model.Prune.ValueBool()); err != nil {
		addError(&resp.Diagnostics, fmt.Sprintf("The member %q could not be forced to leave", model.Name.ValueString()), err)
	}
}

// rejoinAction is the action gossip_rejoin.
type rejoinAction struct{ ofAction }

func newRejoinAction() action.Action { return &rejoinAction{} }

type rejoinModel struct {
	Peers     types.Set      `tfsdk:"peers"`
	Preflight types.Bool     `tfsdk:"preflight"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
}

func (a *rejoinAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_rejoin"
}

func (a *rejoinAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes the agent join peers each time it is invoked, as `gossip join` does. One that is reached is enough. It needs Terraform 1.14 or newer.",
		Attributes: map[string]schema.Attribute{
			"peers": schema.SetAttribute{
				ElementType:         types.StringType,
				Required:            true,
				MarkdownDescription: "Gossip addresses of agents to join, as `host:port`, or `host` for the agent's default port.",
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(rule.Peer())},
			},
			"preflight": preflightAttribute(),
			"timeouts":  invokeTimeoutAttribute(ctx),
		},
	}
}

func (a *rejoinAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var model rejoinModel
	var peers []string
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	resp.Diagnostics.Append(model.Peers.ElementsAs(ctx, &peers, false)...)
	timeout, diags := model.Timeouts.Invoke(ctx, defaultJoinTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	slices.Sort(peers)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results, err := a.agent.Join(ctx, peers, false)
	if err != nil {
		addError(&resp.Diagnostics, "The agent could not be made to join", err)
		return
	}
	if reached(results) == 0 {
		resp.Diagnostics.AddError("No peer could be reached", "The agent tried each of them:\n"+report(results))
		return
	}
	resp.SendProgress(action.InvokeProgressEvent{Message: fmt.Sprintf("reached %d of %d peers", reached(results), len(results))})
}
