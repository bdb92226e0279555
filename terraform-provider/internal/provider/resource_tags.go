package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/size"
)

var (
	_ resource.ResourceWithConfigure   = (*tagsResource)(nil)
	_ resource.ResourceWithImportState = (*tagsResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*tagsResource)(nil)
)

const defaultTagsTimeout = 30 * time.Second

// tagsResource is the resource gossip_tags: some tags of the agent that the provider talks to, and no others.
type tagsResource struct{ ofResource }

func newTagsResource() resource.Resource { return &tagsResource{} }

type tagsModel struct {
	Tags      types.Map      `tfsdk:"tags"`
	Node      types.String   `tfsdk:"node"`
	Overwrite types.Bool     `tfsdk:"overwrite"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
}

func (r *tagsResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_tags"
}

func (r *tagsResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Sets tags of the agent that the provider talks to. Only the keys written here are owned: tags from the agent's " +
			"own configuration, or of another `gossip_tags`, are left alone. An agent without `tags_file` forgets what was set here when it " +
			"restarts; the next plan shows that as drift.",
		Attributes: map[string]schema.Attribute{
			"tags": schema.MapAttribute{
				ElementType: types.StringType,
				Required:    true,
				MarkdownDescription: "Tags to set, such as `{ role = \"web\" }` or `{ \"svc:web\" = \"8080\" }`. All tags of a node together may take " +
					"512 bytes as they are encoded.",
				Validators: []validator.Map{mapvalidator.SizeAtLeast(1), mapvalidator.KeysAre(rule.TagKey())},
			},
			"node": schema.StringAttribute{
				Optional: true,
				Computed: true,
				MarkdownDescription: "Node name that the agent must have, so that tags never go to the wrong one. Defaults to whichever agent " +
					"answers at first.",
				Validators:    []validator.String{stringvalidator.LengthAtLeast(1)},
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace(), stringplanmodifier.UseStateForUnknown()},
			},
			"overwrite": schema.BoolAttribute{
				Optional: true,
				Computed: true,
				Default:  booldefault.StaticBool(false),
				MarkdownDescription: "Whether to take over a tag that exists with another value when it is first owned here. Defaults to `false`, which " +
					"makes that an error.",
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create: true, Update: true, Delete: true,
				CreateDescription: "Longest time for setting the tags and seeing them. Defaults to 30s.",
				UpdateDescription: "Longest time for changing the tags and seeing that. Defaults to 30s.",
				DeleteDescription: "Longest time for deleting the tags and seeing that. Defaults to 30s.",
			}),
		},
	}
}

// ModifyPlan finds tags that cannot fit while planning. What other tags the agent has is not known then.
func (r *tagsResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // to be destroyed
	}
	var plan tagsModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	tags, ok := plan.owned()
	if resp.Diagnostics.HasError() || !ok {
		return
	}
	if n := size.Tags(tags); n > size.MaxTags {
		resp.Diagnostics.AddAttributeError(path.Root("tags"), "The tags are too large",
			fmt.Sprintf("They take %d bytes, and all tags of a node together may take %d. Shorten keys or values.", n, size.MaxTags))
	}
}

// owned returns the tags; false while one is not known yet.
func (m *tagsModel) owned() (map[string]string, bool) {
	tags := make(map[string]string, len(m.Tags.Elements()))
	for key, value := range m.Tags.Elements() {
		text, ok := value.(types.String)
		if !ok || !known(text) {
			return nil, false
		}
		tags[key] = text.ValueString()
	}
	return tags, known(m.Tags)
}

func (r *tagsResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan tagsModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, defaultTagsTimeout)
	resp.Diagnostics.Append(diags...)
	r.change(ctx, timeout, nil, &plan, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Read fetches the owned tags. Another agent than before is an error: it would look as if all tags were gone.
func (r *tagsResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state tagsModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	node, tags, err := r.agent.Tags(ctx)
	if err == nil && node != state.Node.ValueString() {
		err = &session.WrongNodeError{Want: state.Node.ValueString(), Got: node}
	}
	if err != nil {
		addError(&resp.Diagnostics, "The tags could not be read", err)
		return
	}
	present := map[string]string{}
	for key := range state.Tags.Elements() {
		if value, ok := tags[key]; ok {
			present[key] = value
		}
	}
	if len(present) == 0 {
		resp.State.RemoveResource(ctx)
		return
	}
	var diags diag.Diagnostics
	state.Tags, diags = types.MapValueFrom(ctx, types.StringType, present)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func (r *tagsResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state tagsModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, defaultTagsTimeout)
	resp.Diagnostics.Append(diags...)
	r.change(ctx, timeout, &state, &plan, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *tagsResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state tagsModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, defaultTagsTimeout)
	resp.Diagnostics.Append(diags...)
	none := state
	none.Tags = types.MapValueMust(types.StringType, nil)
	r.change(ctx, timeout, &state, &none, &resp.Diagnostics)
}

// change leads the agent from the tags of old, which may be nil, to those of m, and waits until its own member list
// shows them.
func (r *tagsResource) change(ctx context.Context, timeout time.Duration, old, m *tagsModel, diags *diag.Diagnostics) {
	set, _ := m.owned()
	had := map[string]string{}
	if old != nil {
		had, _ = old.owned()
	}
	if diags.HasError() {
		return
	}
	var del []string
	for key := range had {
		if _, keep := set[key]; !keep {
			del = append(del, key)
		}
	}
	slices.Sort(del)
	check := func(node string, tags map[string]string) error {
		if known(m.Node) && m.Node.ValueString() != node {
			return &session.WrongNodeError{Want: m.Node.ValueString(), Got: node}
		}
		m.Node = types.StringValue(node)
		if clash := clashes(tags, had, set); len(clash) > 0 && !m.Overwrite.ValueBool() {
			return &session.ClobberError{Node: node, Tags: clash}
		}
		for _, key := range del {
			delete(tags, key)
		}
		maps.Copy(tags, set)
		if n := size.Tags(tags); n > size.MaxTags {
			return fmt.Errorf("with its other tags, those of %s would take %d bytes, and a node may have %d: %w", node, n, size.MaxTags, errTooLarge)
		}
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.agent.UpdateTags(ctx, set, del, check); err != nil {
		summary := "The tags could not be changed"
		var clobber *session.ClobberError
		switch {
		case errors.As(err, &clobber):
			diags.AddAttributeError(path.Root("tags"), summary, sentence(clobber.Error())+
				"\n\nLeave them out, import them, or set `overwrite` to true to take them over.")
		case errors.Is(err, errTooLarge):
			diags.AddAttributeError(path.Root("tags"), summary, explain(err))
		default:
			addError(diags, summary, err)
		}
		return
	}
	shows := func(view membership.View) error {
		self, ok := view.Member(m.Node.ValueString())
		if !ok {
			return fmt.Errorf("the agent %s does not list itself", m.Node.ValueString())
		}
		for key, value := range set {
			if self.Tags[key] != value {
				return fmt.Errorf("the agent %s does not show its tag %s=%s yet", m.Node.ValueString(), key, value)
			}
		}
		for _, key := range del {
			if _, there := self.Tags[key]; there {
				return fmt.Errorf("the agent %s shows its tag %s still", m.Node.ValueString(), key)
			}
		}
		return nil
	}
	if err := membership.Until(ctx, 50*time.Millisecond, r.agent.View, shows); err != nil {
		addError(diags, "The tags were set, and then not seen", err)
	}
}

var errTooLarge = errors.New("too large")

// clashes lists, as KEY=VALUE, the tags that had does not own and that set would give another value.
func clashes(tags, had, set map[string]string) []string {
	var clash []string
	for key, value := range set {
		_, owned := had[key]
		if now, there := tags[key]; there && !owned && now != value {
			clash = append(clash, key+"="+now)
		}
	}
	slices.Sort(clash)
	return clash
}

// ImportState takes over tags of the agent: NODE means all that it has now, NODE:KEY,KEY these.
func (r *tagsResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	want, list, some := strings.Cut(req.ID, ":")
	node, tags, err := r.agent.Tags(ctx)
	if err == nil && node != want {
		err = &session.WrongNodeError{Want: want, Got: node}
	}
	if err != nil {
		addError(&resp.Diagnostics, "The tags could not be imported", err)
		return
	}
	if some {
		chosen := map[string]string{}
		for _, key := range strings.Split(list, ",") {
			value, ok := tags[key]
			if !ok {
				resp.Diagnostics.AddError("The tags could not be imported",
					fmt.Sprintf("%s has no tag %q; it has: %s.", node, key, strings.Join(slices.Sorted(maps.Keys(tags)), ", ")))
				return
			}
			chosen[key] = value
		}
		tags = chosen
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("node"), node)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("tags"), tags)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("overwrite"), false)...)
}
