package provider

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

var (
	_ action.ActionWithConfigure  = (*queryAction)(nil)
	_ action.ActionWithModifyPlan = (*queryAction)(nil)
)

// queryAction is the action gossip_query: each answer is a line of progress.
type queryAction struct{ ofAction }

func newQueryAction() action.Action { return &queryAction{} }

type queryActionModel struct {
	Name         types.String   `tfsdk:"name"`
	Payload      types.String   `tfsdk:"payload"`
	FilterNodes  types.Set      `tfsdk:"filter_nodes"`
	FilterTags   types.Map      `tfsdk:"filter_tags"`
	QueryTimeout types.String   `tfsdk:"query_timeout"`
	MinResponses types.Int64    `tfsdk:"min_responses"`
	Preflight    types.Bool     `tfsdk:"preflight"`
	Timeouts     timeouts.Value `tfsdk:"timeouts"`
}

func (a *queryAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_query"
}

func (a *queryAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Asks the cluster a query each time it is invoked; every answer is a line of progress. It needs Terraform 1.14 or newer; older ones " +
			"have the resource of the same name.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the query, which handlers answer as `query:NAME` with what they print.",
				Validators:          []validator.String{rule.QueryName()},
			},
			"payload": schema.StringAttribute{Optional: true, MarkdownDescription: "Payload as text, which handlers read on their standard input."},
			"filter_nodes": schema.SetAttribute{
				ElementType: types.StringType, Optional: true,
				MarkdownDescription: "Names of the nodes that are to answer. Defaults to all.",
			},
			"filter_tags": schema.MapAttribute{
				ElementType: types.StringType, Optional: true,
				MarkdownDescription: "Tags of the members that are to answer, each with a regular expression that must match the value as a whole. Defaults to any.",
				Validators:          []validator.Map{mapvalidator.ValueStringsAre(rule.NameRegex())},
			},
			"query_timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long to wait for answers. It ends as soon as all that are asked have answered. Defaults to `5s`.",
				Validators:          []validator.String{rule.Duration(time.Millisecond)},
			},
			"min_responses": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Fewest members that must answer. Defaults to `0`.",
				Validators:          []validator.Int64{int64validator.AtLeast(0)},
			},
			"preflight": preflightAttribute(),
			"timeouts":  invokeTimeoutAttribute(ctx),
		},
	}
}

func (a *queryAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var model queryActionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	query := session.Query{
		Name: model.Name.ValueString(), Payload: []byte(model.Payload.ValueString()), Timeout: duration(model.QueryTimeout, defaultQueryAnswered),
	}
	resp.Diagnostics.Append(model.FilterNodes.ElementsAs(ctx, &query.FilterNodes, false)...)
	resp.Diagnostics.Append(model.FilterTags.ElementsAs(ctx, &query.FilterTags, false)...)
	timeout, diags := model.Timeouts.Invoke(ctx, max(defaultQueryTimeout, query.Timeout+defaultRequestTimeout))
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	eligible, answers, err := ask(ctx, a.agent, query, func(node string, payload []byte) {
		text := fmt.Sprintf("%d bytes that are no text", len(payload))
		if utf8.Valid(payload) {
			text = strings.TrimSpace(string(payload))
		}
		resp.SendProgress(action.InvokeProgressEvent{Message: node + ": " + text})
	})
	if err == nil {
		err = enough(query, len(eligible), answers, model.MinResponses.ValueInt64())
	}
	if err != nil {
		addError(&resp.Diagnostics, fmt.Sprintf("The query %q was not answered", query.Name), err)
	}
}
