package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// ofResource, ofDataSource and ofAction are embedded by those, and take what the provider block hands over.
type (
	ofResource   struct{ *shared }
	ofDataSource struct{ *shared }
	ofAction     struct{ *shared }
)

func (o *ofResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	o.shared = fromProvider(req.ProviderData, &resp.Diagnostics)
}

func (o *ofDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	o.shared = fromProvider(req.ProviderData, &resp.Diagnostics)
}

func (o *ofAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	o.shared = fromProvider(req.ProviderData, &resp.Diagnostics)
}

// fromProvider returns what the provider block handed over, or nil while Terraform only validates.
func fromProvider(data any, diags *diag.Diagnostics) *shared {
	if data == nil {
		return nil
	}
	sh, ok := data.(*shared)
	if !ok {
		diags.AddError("The provider handed over something unexpected", "This is a bug in the provider; please report it.")
	}
	return sh
}

// ModifyPlan asks the agent for its members where `preflight` says so, so that a plan fails before anything has changed if the
// agent could not be reached afterwards, or would refuse. An address that is not known yet is left to the apply.
func (o *ofAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var preflight types.Bool
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("preflight"), &preflight)...)
	if o.shared == nil || !preflight.ValueBool() {
		return
	}
	if _, err := o.agent.View(ctx); err != nil && !errors.Is(err, session.ErrUnknownAddress) {
		addError(&resp.Diagnostics, "The agent cannot be asked", err)
	}
}

// happened is embedded by resources that stand for something which happened, and for nothing on the agent that could be
// compared, changed or taken back: only creating them needs one.
type happened struct{ ofResource }

// Read keeps the state.
func (happened) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

// Update takes over what does not make it happen again.
func (happened) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

// Delete forgets.
func (happened) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// defaultReadTimeout limits reading a data source, waiting included.
const defaultReadTimeout = 30 * time.Second

// readModel is embedded by the models of data sources.
type readModel struct {
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func (m *readModel) limit(ctx context.Context) (time.Duration, diag.Diagnostics) {
	return m.Timeouts.Read(ctx, defaultReadTimeout)
}

// read fills in the model of a data source: look gets the arguments in the model, and puts the results there.
func read(ctx context.Context, sh *shared, req datasource.ReadRequest, resp *datasource.ReadResponse, model interface {
	limit(context.Context) (time.Duration, diag.Diagnostics)
	look(context.Context, *shared, *diag.Diagnostics)
},
) {
	resp.Diagnostics.Append(req.Config.Get(ctx, model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := model.limit(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	model.look(ctx, sh, &resp.Diagnostics)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, model)...)
	}
}
