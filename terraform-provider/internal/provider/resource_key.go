package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var (
	_ resource.ResourceWithConfigure        = (*keyResource)(nil)
	_ resource.ResourceWithConfigValidators = (*keyResource)(nil)
	_ resource.ResourceWithIdentity         = (*keyResource)(nil)
	_ resource.ResourceWithImportState      = (*keyResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*keyResource)(nil)
)

const defaultKeyTimeout = time.Minute

// keyResource is the resource gossip_key: one encryption key on the keyring of every node. Terraform never keeps the key.
type keyResource struct{ ofResource }

func newKeyResource() resource.Resource { return &keyResource{} }

type keyModel struct {
	KeyWO        types.String   `tfsdk:"key_wo"`
	KeyWOVersion types.String   `tfsdk:"key_wo_version"`
	Generate     types.Bool     `tfsdk:"generate"`
	RequireAll   types.Bool     `tfsdk:"require_all"`
	Timeouts     timeouts.Value `tfsdk:"timeouts"`
	KeyID        types.String   `tfsdk:"key_id"`
	Complete     types.Bool     `tfsdk:"complete"`
}

// keyIdentity is the identity of a key on a keyring.
type keyIdentity struct {
	KeyID types.String `tfsdk:"key_id"`
}

func (r *keyResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_key"
}

func (r *keyResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"key_id": identityschema.StringAttribute{RequiredForImport: true, Description: "Fingerprint of the key."},
	}}
}

func (r *keyResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Installs an encryption key on the keyring of every node, and removes it when it is destroyed. Terraform keeps a " +
			"fingerprint of the key and never the key. To encrypt with it, use `gossip_primary_key`; to rotate, set " +
			"`create_before_destroy = true`, so that the old key goes only once the new one is in use.",
		Attributes: map[string]schema.Attribute{
			"key_wo": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				WriteOnly: true,
				MarkdownDescription: "The key: standard base64 of 16, 24 or 32 bytes, kept neither in the plan nor in the state. It may come from the " +
					"ephemeral resource `gossip_key`. It needs `key_wo_version`, and Terraform 1.11 or newer.",
				Validators: []validator.String{rule.Key(), stringvalidator.AlsoRequires(path.MatchRoot("key_wo_version"))},
			},
			"key_wo_version": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Any text or number that changes when `key_wo` is to be installed as another key. A change replaces the resource, unless " +
					"`key_wo` is the same key as before.",
			},
			"generate": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Set to `true` instead of `key_wo` to have a random key of 32 bytes made while applying, which is kept nowhere but on " +
					"the keyrings. A node that was not there then cannot be given the key from here. A change replaces the resource.",
			},
			"require_all": schema.BoolAttribute{
				Optional: true,
				Computed: true,
				Default:  booldefault.StaticBool(true),
				MarkdownDescription: "Whether every node must get the key. If `false`, nodes that do not are a warning, and `complete` is false. " +
					"Defaults to `true`.",
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create: true, Update: true, Delete: true,
				CreateDescription: "Longest time for installing the key. Defaults to 1m.",
				UpdateDescription: "Longest time for installing the key again. Defaults to 1m.",
				DeleteDescription: "Longest time for removing the key. Defaults to 1m.",
			}),

			"key_id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Fingerprint of the key, which `gossip_primary_key` takes.",
				PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"complete": schema.BoolAttribute{
				Computed: true,
				MarkdownDescription: "Whether every node has the key. If not, because a node was away, the next apply installs it again, unless " +
					"`require_all` is false.",
			},
		},
	}
}

func (r *keyResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(path.MatchRoot("key_wo"), path.MatchRoot("generate")),
		resourcevalidator.Conflicting(path.MatchRoot("key_wo_version"), path.MatchRoot("generate")),
	}
}

func (r *keyResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config keyModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if known(config.Generate) && !config.Generate.ValueBool() {
		resp.Diagnostics.AddAttributeError(path.Root("generate"), "There is no key", "Set generate to true, or give a key as key_wo instead.")
	}
}

// ModifyPlan plans complete as true where it is required, so that a node which lacks the key is a difference to repair.
// Where it is not, the outcome of installing is unknown. Another key is another resource.
func (r *keyResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // to be destroyed
	}
	var config, plan, state keyModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		if config.another(&state) {
			resp.RequiresReplace.Append(path.Root("key_wo_version"), path.Root("generate"))
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	switch {
	case plan.RequireAll.ValueBool():
		plan.Complete = types.BoolValue(true)
	case req.State.Raw.IsNull() || plan.KeyID.IsUnknown():
		plan.Complete = types.BoolUnknown()
	default:
		plan.Complete = state.Complete
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("complete"), plan.Complete)...)
}

// another reports whether the configuration m asks for another key than that of state. To replace a key by itself would install
// it and then remove it, so a new version of the same key is none; neither is what an import could not know.
func (m *keyModel) another(state *keyModel) bool {
	if m.KeyWOVersion.Equal(state.KeyWOVersion) && m.Generate.Equal(state.Generate) {
		return false // also if key_wo is a fresh ephemeral value
	}
	imported := state.KeyWOVersion.IsNull() && state.Generate.IsNull()
	return !m.same(state) && !(imported && m.Generate.ValueBool())
}

// same reports whether key_wo of the configuration m is the key of state.
func (m *keyModel) same(state *keyModel) bool {
	if !known(m.KeyWO) {
		return false
	}
	id, err := keyid.Of(m.KeyWO.ValueString())
	return err == nil && id == state.KeyID.ValueString()
}

func (r *keyResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config keyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, defaultKeyTimeout)
	resp.Diagnostics.Append(diags...)
	key := config.KeyWO.ValueString()
	if plan.Generate.ValueBool() {
		key = keyid.New(32)
	}
	id, err := keyid.Of(key)
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("key_wo"), "The key cannot be installed", sentence(err.Error()))
	}
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plan.KeyID, plan.Complete = types.StringValue(id), types.BoolValue(true)
	plan.settle(r.agent.InstallKey(ctx, key), &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return // without state: installing again leads to the same end, and a tainted key would be removed first
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, keyIdentity{plan.KeyID})...)
}

// settle judges the outcome of installing.
func (m *keyModel) settle(err error, diags *diag.Diagnostics) {
	var nodes *session.NodesError
	switch {
	case err == nil:
	case errors.As(err, &nodes) && nodes.Done > 0 && !m.RequireAll.ValueBool():
		m.Complete = types.BoolValue(false)
		diags.AddWarning("Not every node has the key", explain(err))
	default:
		addError(diags, "The key could not be installed on every node", err)
	}
}

func (r *keyResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state keyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	// First of all, since a resource without it is an error even where it is then found to be gone.
	resp.Diagnostics.Append(resp.Identity.Set(ctx, keyIdentity{state.KeyID})...)
	ring, err := r.agent.Keyring(ctx)
	if err != nil {
		addError(&resp.Diagnostics, "The keyrings could not be read", err)
		return
	}
	nodes, ok := ring.Keys[state.KeyID.ValueString()]
	if !ok {
		resp.State.RemoveResource(ctx)
		return
	}
	state.Complete = types.BoolValue(nodes >= ring.Nodes)
	if !known(state.RequireAll) { // imported
		state.RequireAll = types.BoolValue(true)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update installs the key again where a node lacks it; everything else needs no agent.
func (r *keyResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state, config keyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, defaultKeyTimeout)
	resp.Diagnostics.Append(diags...)
	if config.another(&state) { // while planning it was not
		resp.Diagnostics.AddAttributeError(path.Root("key_wo"), "The key is another one than when it was planned",
			"It had the fingerprint "+state.KeyID.ValueString()+" then. A new version of the same key needs a value that stays the same; apply again.")
		return
	}
	if plan.Complete.ValueBool() && !state.Complete.ValueBool() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		plan.settle(r.agent.Reinstall(ctx, plan.KeyID.ValueString()), &resp.Diagnostics)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, keyIdentity{plan.KeyID})...)
}

func (r *keyResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state keyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, defaultKeyTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.agent.RemoveKey(ctx, state.KeyID.ValueString())
	switch {
	case err == nil, errors.Is(err, session.ErrNoSuchKey): // gone already
	case errors.Is(err, session.ErrKeyInUse):
		resp.Diagnostics.AddError("The key is in use and was not removed", fmt.Sprintf("Nodes encrypt with the key %s. Make another key the primary one "+
			"with gossip_primary_key first. If this happens while a key is replaced, set `create_before_destroy = true` in the `lifecycle` of "+
			"gossip_key. To leave the key where it is, take the resource out of the state with `terraform state rm`.", state.KeyID.ValueString()))
	default:
		addError(&resp.Diagnostics, "The key could not be removed from every node", err)
	}
}

func (r *keyResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if req.ID != "" {
		if err := keyid.Check(req.ID); err != nil {
			resp.Diagnostics.AddError("The key cannot be imported", sentence(err.Error())+" The id of a key is its fingerprint, as `key_ids` of the data "+
				"source gossip_keyring lists them.")
			return
		}
	}
	resource.ImportStatePassthroughWithIdentity(ctx, path.Root("key_id"), path.Root("key_id"), req, resp)
}
