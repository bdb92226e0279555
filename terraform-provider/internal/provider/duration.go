package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
)

// duration reads a duration that a validator has accepted; absent is what it means if it is left out.
func duration(v types.String, absent time.Duration) time.Duration {
	if !known(v) {
		return absent
	}
	d, err := time.ParseDuration(v.ValueString())
	if err != nil {
		return absent // only values that came from an unknown escape the validator, and plan checks these again
	}
	return d
}

// durationAttribute is a duration among the arguments of a resource.
func durationAttribute(description string, least time.Duration) schema.StringAttribute {
	return schema.StringAttribute{
		Optional:            true,
		MarkdownDescription: description,
		Validators:          []validator.String{rule.Duration(least)},
		PlanModifiers:       []planmodifier.String{sameDuration{}},
	}
}

// sameDuration keeps a duration as the state writes it where the configuration writes the same one otherwise, such as 1m for
// 60s: nothing has changed.
type sameDuration struct{}

func (sameDuration) Description(context.Context) string {
	return "keeps a duration that is only written otherwise"
}

func (m sameDuration) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (sameDuration) PlanModifyString(_ context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	if !known(req.StateValue) || !known(req.PlanValue) {
		return
	}
	old, err := time.ParseDuration(req.StateValue.ValueString())
	if err != nil {
		return
	}
	if now, err := time.ParseDuration(req.PlanValue.ValueString()); err == nil && now == old {
		resp.PlanValue = req.StateValue
	}
}
