package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var (
	_ resource.ResourceWithConfigure   = (*joinResource)(nil)
	_ resource.ResourceWithIdentity    = (*joinResource)(nil)
	_ resource.ResourceWithImportState = (*joinResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*joinResource)(nil)
)

const (
	defaultJoinTimeout = 2 * time.Minute
	// settle is how long an agent that has joined may take to list its new neighbours.
	settle = 15 * time.Second
)

// What on_destroy may say.
const (
	destroyNone  = "none"
	destroyLeave = "leave"
)

// joinResource is the resource gossip_join: the fact that the agent is one of a cluster.
type joinResource struct{ ofResource }

func newJoinResource() resource.Resource { return &joinResource{} }

type joinModel struct {
	Peers        types.Set      `tfsdk:"peers"`
	MinContacted types.Int64    `tfsdk:"min_contacted"`
	ReplayEvents types.Bool     `tfsdk:"replay_events"`
	Wait         types.Object   `tfsdk:"wait"`
	OnDestroy    types.String   `tfsdk:"on_destroy"`
	Triggers     types.Map      `tfsdk:"triggers"`
	Timeouts     timeouts.Value `tfsdk:"timeouts"`
	Node         types.String   `tfsdk:"node"`
	Contacted    types.Int64    `tfsdk:"contacted"`
	Joined       types.Bool     `tfsdk:"joined"`
}

func (r *joinResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_join"
}

// joinIdentity is the identity of the membership of an agent.
type joinIdentity struct {
	Node types.String `tfsdk:"node"`
}

func (r *joinResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"node": identityschema.StringAttribute{RequiredForImport: true, Description: "Node name of the agent."},
	}}
}

// ImportState takes over an agent that has joined already. Its peers are not known from that, so the first apply joins
// those of the configuration, in place.
func (r *joinResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughWithIdentity(ctx, path.Root("node"), path.Root("node"), req, resp)
}

func (r *joinResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes the agent that the provider talks to join others, and keeps it joined: an agent that stands alone, because " +
			"it was restarted say, shows up as drift and is joined again in place. To join several agents, use one provider block with " +
			"an alias for each.",
		Attributes: map[string]schema.Attribute{
			"peers": schema.SetAttribute{
				ElementType: types.StringType,
				Required:    true,
				MarkdownDescription: "Gossip addresses of agents to join, as `host:port`, or `host` for the agent's default port. All of them are tried. " +
					"The agent's own address may be among them and is passed over. A change joins again and never leaves.",
				Validators: []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(rule.Peer())},
			},
			"min_contacted": schema.Int64Attribute{
				Optional:            true,
				Computed:            true,
				Default:             int64default.StaticInt64(1),
				MarkdownDescription: "Fewest peers that must be reached. Defaults to `1`.",
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
			},
			"replay_events": schema.BoolAttribute{
				Optional: true,
				Computed: true,
				Default:  booldefault.StaticBool(false),
				MarkdownDescription: "Whether the agent handles the user events that its peers remember from before it joined. " +
					"Defaults to `false`.",
			},
			"wait": waitResourceAttribute("Waits, after joining, until the agent sees what is described here."),
			"on_destroy": schema.StringAttribute{
				Optional: true,
				Computed: true,
				Default:  stringdefault.StaticString(destroyNone),
				MarkdownDescription: "What destroying does: `none` leaves the agent where it is and needs no agent; `leave` makes it leave the cluster, " +
					"**which ends the agent's process**. Defaults to `none`.",
				Validators: []validator.String{stringvalidator.OneOf(destroyNone, destroyLeave)},
			},
			"triggers": schema.MapAttribute{
				ElementType:         types.StringType,
				Optional:            true,
				MarkdownDescription: "Values of your own. A change of any of them joins again, in place.",
			},
			"timeouts": timeoutsAttribute(ctx, timeouts.Opts{
				Create: true, Update: true, Delete: true,
				CreateDescription: "Longest time for joining, waiting included. Defaults to 2m. An agent may take 10 seconds for each peer that is dead.",
				UpdateDescription: "Longest time for joining again, waiting included. Defaults to 2m.",
				DeleteDescription: "Longest time for leaving. Defaults to 2m.",
			}),

			"node": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Node name of the agent.",
			},
			"contacted": schema.Int64Attribute{
				Computed:            true,
				MarkdownDescription: "Number of peers that were reached at the last join.",
			},
			"joined": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether the agent sees another member that is alive. If it does not, the next apply joins again.",
			},
		},
	}
}

// ModifyPlan plans joined as true whatever it is, so that an agent standing alone is a difference to repair.
func (r *joinResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // to be destroyed
	}
	var plan joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.Joined = types.BoolValue(true)
	plan.Node, plan.Contacted = types.StringUnknown(), types.Int64Unknown()
	if !req.State.Raw.IsNull() {
		var state joinModel
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		plan.Node = state.Node
		if !plan.joinsAgain(&state) {
			plan.Contacted = state.Contacted
		}
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// joinsAgain reports whether getting from state to m needs another join.
func (m *joinModel) joinsAgain(state *joinModel) bool {
	return !state.Joined.ValueBool() ||
		!m.Peers.Equal(state.Peers) ||
		!m.MinContacted.Equal(state.MinContacted) ||
		!m.ReplayEvents.Equal(state.ReplayEvents) ||
		!m.Wait.Equal(state.Wait) ||
		!m.Triggers.Equal(state.Triggers)
}

func (r *joinResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, defaultJoinTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	r.join(ctx, timeout, &plan, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, joinIdentity{plan.Node})...)
}

// Read looks whether the agent still has company. An agent that cannot be reached is no drift that a join
// could repair, and must not stand in the way of destroying, so it is a warning alone.
func (r *joinResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state joinModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, joinIdentity{state.Node})...)
	view, err := r.agent.View(ctx)
	var failure *session.Error
	switch {
	case err == nil && view.Observer != state.Node.ValueString():
		addError(&resp.Diagnostics, "It could not be found out whether the agent is still joined",
			&session.Error{Op: "look at " + state.Node.ValueString(), Err: &session.WrongNodeError{Want: state.Node.ValueString(), Got: view.Observer}})
	case err == nil:
		state.Joined = types.BoolValue(!view.Alone())
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	case ctx.Err() == nil && errors.As(err, &failure) && !failure.Refused():
		resp.Diagnostics.AddWarning("It is not known whether the agent is still joined", explain(err)+" The last known state is kept.")
	default:
		addError(&resp.Diagnostics, "It could not be found out whether the agent is still joined", err)
	}
}

func (r *joinResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state joinModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, defaultJoinTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan.joinsAgain(&state) {
		r.join(ctx, timeout, &plan, &resp.Diagnostics)
		if resp.Diagnostics.HasError() {
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, joinIdentity{plan.Node})...)
}

func (r *joinResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state joinModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || state.OnDestroy.ValueString() != destroyLeave {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, defaultJoinTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.agent.Leave(ctx); err != nil {
		resp.Diagnostics.AddError("The agent could not be made to leave", explain(err)+
			"\n\nIf it is gone already, set `on_destroy` to \"none\" and apply, or take the resource out of the state with `terraform state rm`.")
	}
}

// join makes the agent join as m asks, waits, and fills in the results.
func (r *joinResource) join(ctx context.Context, timeout time.Duration, m *joinModel, diags *diag.Diagnostics) {
	var peers []string
	diags.Append(m.Peers.ElementsAs(ctx, &peers, false)...)
	var wait *waitModel
	if known(m.Wait) {
		wait = &waitModel{}
		diags.Append(m.Wait.As(ctx, wait, objectOptions)...)
	}
	if diags.HasError() {
		return
	}
	slices.Sort(peers)

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results, err := r.agent.Join(ctx, peers, m.ReplayEvents.ValueBool())
	if err != nil {
		addError(diags, "The agent could not be made to join", err)
		return
	}
	contacted := reached(results)
	if contacted < m.MinContacted.ValueInt64() {
		diags.AddAttributeError(path.Root("peers"), "Too few peers could be reached",
			fmt.Sprintf("The agent reached %d of %d peers, and min_contacted asks for %d:\n%s",
				contacted, len(results), m.MinContacted.ValueInt64(), report(results)))
		return
	}

	view, err := r.settled(ctx, wait)
	if err != nil {
		addError(diags, "The agent joined, and then did not see what it should", err)
		return
	}
	if known(m.Node) && m.Node.ValueString() != view.Observer {
		addError(diags, "The agent joined, and is another than before",
			&session.Error{Op: "join " + m.Node.ValueString(), Err: &session.WrongNodeError{Want: m.Node.ValueString(), Got: view.Observer}})
		return
	}
	m.Node = types.StringValue(view.Observer)
	m.Contacted = types.Int64Value(contacted)
	m.Joined = types.BoolValue(true)
}

// settled waits until the agent has company, and then for what wait asks.
func (r *joinResource) settled(ctx context.Context, wait *waitModel) (membership.View, error) {
	everyone := membership.Filter{Statuses: []string{membership.Alive}}
	company, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	view, _, err := membership.Wait{Min: 2, Poll: 50 * time.Millisecond}.Until(company, r.agent.View, membership.Guard{}, everyone)
	if err != nil {
		return view, fmt.Errorf("no other member showed up, as if the only peer reached were the agent itself: %w", err)
	}
	if wait == nil {
		return view, nil
	}
	view, _, err = wait.want().Until(ctx, r.agent.View, membership.Guard{}, everyone)
	return view, err
}

// reached counts the peers that were.
func reached(results []session.PeerResult) int64 {
	var n int64
	for _, r := range results {
		if r.Err == nil && !r.Self {
			n++
		}
	}
	return n
}

// report lists each peer and how it answered, a line each.
func report(results []session.PeerResult) string {
	var b strings.Builder
	for _, r := range results {
		switch {
		case r.Self:
			fmt.Fprintf(&b, "  - %s: is the agent itself\n", r.Peer)
		case r.Err != nil:
			fmt.Fprintf(&b, "  - %s: %v\n", r.Peer, r.Err)
		default:
			fmt.Fprintf(&b, "  - %s: reached\n", r.Peer)
		}
	}
	return b.String()
}
