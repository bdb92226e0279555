package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var (
	_ resource.ResourceWithConfigure   = (*primaryKeyResource)(nil)
	_ resource.ResourceWithImportState = (*primaryKeyResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*primaryKeyResource)(nil)
)

// importedPrimary is what the one primary key of a cluster is called when it is imported.
const importedPrimary = "primary"

// primaryKeyResource is the resource gossip_primary_key: which installed key the nodes encrypt with.
type primaryKeyResource struct{ ofResource }

func newPrimaryKeyResource() resource.Resource { return &primaryKeyResource{} }

type primaryKeyModel struct {
	KeyID      types.String   `tfsdk:"key_id"`
	Timeouts   timeouts.Value `tfsdk:"timeouts"`
	Consistent types.Bool     `tfsdk:"consistent"`
}

func (r *primaryKeyResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_primary_key"
}

func (r *primaryKeyResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes every node encrypt with an installed key. A cluster has one primary key, so write this resource once. Destroying it " +
			"changes nothing on the nodes, since they cannot do without. With stock Serf agents, which do not say what their primary key is, a " +
			"change made by others goes unnoticed.",
		Attributes: map[string]schema.Attribute{
			"key_id": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Fingerprint of the key, as `key_id` of `gossip_key` gives it. A change is made in place.",
				Validators:          []validator.String{rule.KeyID()},
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create: true, Update: true,
				CreateDescription: "Longest time for changing over. Defaults to 1m.",
				UpdateDescription: "Longest time for changing over. Defaults to 1m.",
			}),
			"consistent": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether all nodes encrypt with the key, as far as the agent says. If not, the next apply changes over again.",
			},
		},
	}
}

// ModifyPlan plans consistent as true, so that nodes which differ are a difference to repair.
func (r *primaryKeyResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if !req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("consistent"), true)...)
		return
	}
	resp.Diagnostics.AddWarning("The primary key stays in use",
		"Destroying gossip_primary_key changes nothing on the nodes: they go on encrypting with the key.")
}

func (r *primaryKeyResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan primaryKeyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, defaultKeyTimeout)
	resp.Diagnostics.Append(diags...)
	if err := r.use(ctx, timeout, plan); err != nil {
		addError(&resp.Diagnostics, "The nodes could not all be made to encrypt with the key", err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *primaryKeyResource) use(ctx context.Context, timeout time.Duration, plan primaryKeyModel) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.agent.UseKey(ctx, plan.KeyID.ValueString())
	if errors.Is(err, session.ErrNoSuchKey) {
		return errors.Join(err, errors.New("install it with gossip_key first, and take key_id from there"))
	}
	return err
}

// Read finds out what key is in use, where the agent says so.
func (r *primaryKeyResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state primaryKeyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ring, err := r.agent.Keyring(ctx)
	if err != nil {
		addError(&resp.Diagnostics, "The keyrings could not be read", err)
		return
	}
	if id, ok := ring.Sole(); ok {
		state.KeyID = types.StringValue(id)
	}
	if state.KeyID.ValueString() == importedPrimary {
		resp.Diagnostics.AddError("The primary key cannot be imported", "The nodes differ in it, or the agent does not say, as stock Serf agents do not. "+
			"Write the resource and apply instead.")
		return
	}
	state.Consistent = types.BoolValue(len(ring.Primary) <= 1)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func (r *primaryKeyResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state primaryKeyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, defaultKeyTimeout)
	resp.Diagnostics.Append(diags...)
	if !plan.KeyID.Equal(state.KeyID) || !state.Consistent.ValueBool() {
		if err := r.use(ctx, timeout, plan); err != nil {
			addError(&resp.Diagnostics, "The nodes could not all be made to encrypt with the key", err)
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete forgets: a cluster that encrypts always has a primary key.
func (r *primaryKeyResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
}

func (r *primaryKeyResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if req.ID != importedPrimary {
		resp.Diagnostics.AddError("The primary key cannot be imported", "A cluster has one, and its id is `"+importedPrimary+"`.")
		return
	}
	resource.ImportStatePassthroughID(ctx, path.Root("key_id"), req, resp)
}
