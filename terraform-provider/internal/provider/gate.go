package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/float64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

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
			"timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "For how long the query is asked again until enough answer well. Defaults to `1m`.",
				Validators:          []validator.String{rule.Duration(time.Millisecond)},
			},
			"query_timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long one query waits for answers. It ends as soon as all have answered. Defaults to `5s`.",
				Validators:          []validator.String{rule.Duration(time.Millisecond)},
			},
			"interval": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Pause before the query is asked again. Defaults to `2s`.",
				Validators:          []validator.String{rule.Duration(leastPoll)},
			},
		},
	}
}

// gateError says that too few answered well in time.
type gateError struct {
	query   string
	elapsed time.Duration
	verdict gate.Verdict
	cause   error
}

func (e *gateError) Error() string {
	if errors.Is(e.cause, context.Canceled) {
		return fmt.Sprintf("interrupted after %s while asking %q", e.elapsed.Round(100*time.Millisecond), e.query)
	}
	return fmt.Sprintf("%q was asked for %s: %s", e.query, e.elapsed.Round(100*time.Millisecond), e.verdict)
}

func (e *gateError) Unwrap() error { return e.cause }

// pass asks again and again until enough members answer well, and returns how the last round came out. It ends with a
// gateError when its time is over.
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
	filter, err := tagFilter(query.FilterTags)
	if err != nil || diags.HasError() {
		return gate.Verdict{}, err
	}

	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, duration(m.Timeout, defaultGateTimeout))
	defer cancel()
	var verdict gate.Verdict
	for {
		round, err := ask(ctx, agent, query, filter, verdictRule)
		if err != nil && ctx.Err() == nil {
			return verdict, err
		}
		if err == nil || len(verdict.Eligible) == 0 { // a round that was cut short says less than the one before
			verdict = round
		}
		if err == nil && verdict.Passed() {
			return verdict, nil
		}
		select {
		case <-ctx.Done():
			return verdict, &gateError{query.Name, time.Since(start), verdict, ctx.Err()}
		case <-time.After(duration(m.Interval, defaultGateInterval)):
		}
	}
}

// ask asks once all members that pass the filter now.
func ask(ctx context.Context, agent *session.Agent, query session.Query, filter membership.Filter, verdictRule gate.Rule) (gate.Verdict, error) {
	view, err := agent.View(ctx)
	if err != nil {
		return verdictRule.Judge(nil, nil), err
	}
	var eligible []string
	for _, member := range filter.Select(view.Members) {
		eligible = append(eligible, member.Name)
	}
	if len(eligible) == 0 {
		return verdictRule.Judge(nil, nil), nil
	}
	answers, err := agent.Ask(ctx, query, eligible, nil)
	return verdictRule.Judge(eligible, answers), err
}

// tagFilter selects, from a member list, those whom a query with these tags goes to: members that are alive and
// whose tags match, a missing tag being empty (Serf reference 2.9).
func tagFilter(tags map[string]string) (membership.Filter, error) {
	filter := membership.Filter{Statuses: []string{membership.Alive}, TagRegex: map[string]*regexp.Regexp{}}
	for key, expr := range tags {
		expression, err := membership.CompileName(expr)
		if err != nil {
			return filter, fmt.Errorf("tag %s: %w", key, err)
		}
		filter.TagRegex[key] = expression
	}
	return filter, nil
}
