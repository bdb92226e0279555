package provider

import (
	"context"
	"time"

	actiontimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	dstimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	rstimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	actionschema "github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	dsschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	rsschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
)

// objectOptions decode an object whose values may all be null.
var objectOptions = basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true}

// known reports whether a value is there.
func known(v attr.Value) bool { return !v.IsNull() && !v.IsUnknown() }

// waitModel is the argument wait.
type waitModel struct {
	Min       types.Int64  `tfsdk:"min"`
	StableFor types.String `tfsdk:"stable_for"`
	Poll      types.String `tfsdk:"poll"`
}

// want turns the argument, which may be left out, into the rule of package membership.
func (m *waitModel) want() *membership.Wait {
	if m == nil {
		return nil
	}
	return &membership.Wait{
		Min:       m.Min.ValueInt64(),
		StableFor: duration(m.StableFor, 0),
		Poll:      duration(m.Poll, membership.DefaultPoll),
	}
}

// guardModel is the argument guard.
type guardModel struct {
	MinAlive       types.Int64  `tfsdk:"min_alive"`
	MaxViewAge     types.String `tfsdk:"max_view_age"`
	RefuseIsolated types.Bool   `tfsdk:"refuse_isolated"`
}

// rule turns the argument, which may be left out, into the rule of package membership.
func (m *guardModel) rule() membership.Guard {
	guard := membership.Guard{RefuseIsolated: true}
	if m == nil {
		return guard
	}
	guard.MinAlive = m.MinAlive.ValueInt64()
	guard.MaxAge = duration(m.MaxViewAge, 0)
	if known(m.RefuseIsolated) {
		guard.RefuseIsolated = m.RefuseIsolated.ValueBool()
	}
	return guard
}

// The words that the schemas of data sources and resources share.
const (
	descStableFor = "For how long the members must have stayed the same, such as `5s`. Defaults to not at all."
	descPoll      = "Time between two looks. Defaults to `500ms`."
)

const leastPoll = 10 * time.Millisecond

func waitDataSourceAttribute(description string, withMin bool) dsschema.Attribute {
	attributes := map[string]dsschema.Attribute{
		"stable_for": dsschema.StringAttribute{
			Optional: true, MarkdownDescription: descStableFor, Validators: []validator.String{rule.Duration(0)},
		},
		"poll": dsschema.StringAttribute{
			Optional: true, MarkdownDescription: descPoll, Validators: []validator.String{rule.Duration(leastPoll)},
		},
	}
	if withMin {
		attributes["min"] = dsschema.Int64Attribute{
			Optional:            true,
			MarkdownDescription: "Fewest members that must be selected. Defaults to `0`.",
			Validators:          []validator.Int64{int64validator.AtLeast(0)},
		}
	}
	return dsschema.SingleNestedAttribute{Optional: true, MarkdownDescription: description, Attributes: attributes}
}

func waitResourceAttribute(description string) rsschema.Attribute {
	return rsschema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: description,
		Attributes: map[string]rsschema.Attribute{
			"min": rsschema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Fewest alive members that the agent must see, itself included. Defaults to `0`.",
				Validators:          []validator.Int64{int64validator.AtLeast(0)},
			},
			"stable_for": durationAttribute(descStableFor, 0),
			"poll":       durationAttribute(descPoll, leastPoll),
		},
	}
}

func guardAttribute() dsschema.Attribute {
	return dsschema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "When to refuse what the agent sees, with an error, rather than hand on a member list that is " +
			"probably wrong.",
		Attributes: map[string]dsschema.Attribute{
			"min_alive": dsschema.Int64Attribute{
				Optional: true,
				MarkdownDescription: "Fewest alive members that the agent must see in all, itself included and whatever else is selected. " +
					"Defaults to `0`.",
				Validators: []validator.Int64{int64validator.AtLeast(0)},
			},
			"max_view_age": dsschema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Longest time since the agent heard from another member, such as `10s`. Agents that do not say, as stock Serf " +
					"agents do not, pass. Defaults to any.",
				Validators: []validator.String{rule.Duration(time.Millisecond)},
			},
			"refuse_isolated": dsschema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether to refuse the view of an agent that says it is cut off or has not joined yet, or that sees no other " +
					"member alive and at least one as failed: it is more likely cut off than the last survivor. Defaults to `true`, also without " +
					"a `guard`.",
			},
		},
	}
}

func readTimeoutAttribute(ctx context.Context) dsschema.Attribute {
	nested, ok := dstimeouts.AttributesWithOpts(ctx, dstimeouts.Opts{
		ReadDescription: "Longest time for reading, waiting included. Defaults to 30s.",
	}).(dsschema.SingleNestedAttribute)
	if ok { // it always is; the description just has no option of its own
		nested.MarkdownDescription = descTimeouts
		return nested
	}
	return dstimeouts.Attributes(ctx)
}

const descTimeouts = "How long operations may take."

func timeoutsAttribute(ctx context.Context, opts rstimeouts.Opts) rsschema.Attribute {
	attribute := rstimeouts.Attributes(ctx, opts)
	if nested, ok := attribute.(rsschema.SingleNestedAttribute); ok { // as above
		nested.MarkdownDescription = descTimeouts
		for name, limit := range nested.Attributes {
			if text, ok := limit.(rsschema.StringAttribute); ok {
				text.PlanModifiers = append(text.PlanModifiers, sameDuration{})
				nested.Attributes[name] = text
			}
		}
		return nested
	}
	return attribute
}

func preflightAttribute() actionschema.Attribute {
	return actionschema.BoolAttribute{
		Optional: true,
		MarkdownDescription: "Whether planning fails if the agent cannot be reached, or refuses to be asked. An address that is not known until apply is not " +
			"tried. Defaults to `false`.",
	}
}

func invokeTimeoutAttribute(ctx context.Context) actionschema.Attribute {
	attribute := actiontimeouts.AttributesWithOpts(ctx, actiontimeouts.Opts{
		InvokeDescription: "Longest time for the whole.",
	})
	if nested, ok := attribute.(actionschema.SingleNestedAttribute); ok { // as above
		nested.MarkdownDescription = descTimeouts
		return nested
	}
	return attribute
}
