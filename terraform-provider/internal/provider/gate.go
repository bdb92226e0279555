package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/float64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/again"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/gate"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// Defaults of a gate.
const (
	defaultGateExpect   = "ok"
	defaultGateTimeout  = time.Minute
	defaultGateRound    = 5 * time.Second
	defaultGateInterval = 2 * time.Second
)

// gateModel is the argument gate: a query that enough members must answer well.
type gateModel struct {
	Query        types.String  `tfsdk:"query"`
	Payload      types.String  `tfsdk:"payload"`
	FilterTags   types.Map     `tfsdk:"filter_tags"`
	Expect       types.String  `tfsdk:"expect"`
	MinResponses types.Int64   `tfsdk:"min_responses"`
	MinPercent   types.Float64 `tfsdk:"min_percent"`
	Timeout      types.String  `tfsdk:"timeout"`
	QueryTimeout types.String  `tfsdk:"query_timeout"`
	Interval     types.String  `tfsdk:"interval"`
}

func gateAttribute(description string) schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"query": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the query, which handlers answer as `query:NAME` with what they print.",
				Validators:          []validator.String{rule.QueryName()},
			},
			"payload": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Payload of the query, such as the release that members should run by now.",
			},
			"filter_tags": schema.MapAttribute{
				ElementType: types.StringType,
				Optional:    true,
				MarkdownDescription: "Tags of the members that are to answer, each with a regular expression that must match the value as a whole. " +
					"Defaults to every member that is alive.",
				Validators: []validator.Map{mapvalidator.ValueStringsAre(rule.NameRegex())},
			},
			"expect": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Regular expression that a good answer matches as a whole, white space around it cut off. Defaults to `" +
					defaultGateExpect + "`.",
				Validators: []validator.String{rule.NameRegex()},
			},
			"min_responses": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Fewest members that must answer well. Without it and `min_percent`, all must.",
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
			},
			"min_percent": schema.Float64Attribute{
				Optional:            true,
				MarkdownDescription: "Fewest members that must answer well, in percent of those that are to answer. At least one always must.",
				Validators:          []validator.Float64{float64validator.Between(0, 100)},
			},
			"timeout":       durationAttribute("For how long the query is asked again until enough answer well; a round under way then is finished. Defaults to `1m`.", time.Millisecond),
			"query_timeout": durationAttribute("How long one query waits for answers. It ends as soon as all have answered. Defaults to `5s`.", time.Millisecond),
			"interval":      durationAttribute("Pause before the query is asked again. Defaults to `2s`.", leastPoll),
		},
	}
}

// gateError says that too few answered well in time.
type gateError struct {
	query   string
	verdict *gate.Verdict // of the last round that came to an end; nil if none did
	end     *again.Error
}

func (e *gateError) Error() string {
	elapsed := e.end.Elapsed.Round(100 * time.Millisecond)
	var text string
	switch {
	case errors.Is(e.end.Cause, context.Canceled):
		return fmt.Sprintf("interrupted after %s while asking %q", elapsed, e.query)
	case e.verdict == nil:
		return fmt.Sprintf("%q was asked for %s, and nothing came of it: %v", e.query, elapsed, e.end.Last)
	case e.end.Last != nil:
		text = fmt.Sprintf("\nAfter that it could not be asked any more: %v", e.end.Last)
	}
	return fmt.Sprintf("%q was asked for %s: %s%s", e.query, elapsed, e.verdict, text)
}

func (e *gateError) Unwrap() error { return e.end }

// pass asks again and again until enough members answer well, and returns how the last round came out. An agent that
// cannot be reached meanwhile, because the deploy restarts it say, is asked again too. It ends with a gateError when its
// time is over; a round under way is finished.
func (m *gateModel) pass(ctx context.Context, agent *session.Agent, diags *diag.Diagnostics) (gate.Verdict, error) {
	verdictRule := gate.Rule{MinCount: int(m.MinResponses.ValueInt64()), MinPercent: m.MinPercent.ValueFloat64()}
	expect := defaultGateExpect
	if known(m.Expect) {
		expect = m.Expect.ValueString()
	}
	expression, err := membership.CompileName(expect)
	if err != nil {
		return gate.Verdict{}, err
	}
	verdictRule.Expect = expression
	query := session.Query{
		Name: m.Query.ValueString(), Payload: []byte(m.Payload.ValueString()), Timeout: duration(m.QueryTimeout, defaultGateRound),
	}
	diags.Append(m.FilterTags.ElementsAs(ctx, &query.FilterTags, false)...)
	if diags.HasError() {
		return gate.Verdict{}, errors.New("filter_tags cannot be read")
	}

	ctx, cancel := context.WithTimeout(ctx, duration(m.Timeout, defaultGateTimeout))
	defer cancel()
	var verdict *gate.Verdict
	err = again.Until(ctx, duration(m.Interval, defaultGateInterval), query.Timeout+again.Least, func(ctx context.Context) (bool, error) {
		eligible, answers, err := ask(ctx, agent, query, nil)
		if err != nil {
			return false, err
		}
		round := verdictRule.Judge(eligible, answers)
		verdict = &round
		return round.Passed(), nil
	})
	var end *again.Error
	switch {
	case err == nil:
		return *verdict, nil
	case errors.As(err, &end):
		return gate.Verdict{}, &gateError{query.Name, verdict, end}
	default:
		return gate.Verdict{}, err
	}
}
