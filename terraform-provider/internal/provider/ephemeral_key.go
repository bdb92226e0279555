package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
)

var _ ephemeral.EphemeralResource = (*keyEphemeral)(nil)

const defaultKeyLength = 32

// keyEphemeral is the ephemeral resource gossip_key: a new random key that no state or plan ever holds.
type keyEphemeral struct{}

func newKeyEphemeral() ephemeral.EphemeralResource { return &keyEphemeral{} }

type keyEphemeralModel struct {
	Length types.Int64  `tfsdk:"length"`
	Key    types.String `tfsdk:"key"`
	KeyID  types.String `tfsdk:"key_id"`
}

func (e *keyEphemeral) Metadata(_ context.Context, req ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_key"
}

func (e *keyEphemeral) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes a random encryption key that neither state nor plan ever holds. **It has a new value in every plan and every apply**: " +
			"pair it with a version, as `key_wo_version` of `gossip_key`. Within one apply all that use it get the same value, so hand it to a " +
			"secret store's write-only argument too, or nobody can start a new node with it. It asks nothing of the agent.",
		Attributes: map[string]schema.Attribute{
			"length": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Bytes of the key: `16`, `24` or `32`. Defaults to `32`.",
				Validators:          []validator.Int64{int64validator.OneOf(16, 24, 32)},
			},
			"key": schema.StringAttribute{
				Computed:            true,
				Sensitive:           true,
				MarkdownDescription: "The key in standard base64, as `gossip keygen` prints one.",
			},
			"key_id": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "Fingerprint of the key, which gives nothing away.",
			},
		},
	}
}

func (e *keyEphemeral) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var model keyEphemeralModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	length := defaultKeyLength
	if known(model.Length) {
		length = int(model.Length.ValueInt64())
	}
	key := keyid.New(length)
	id, err := keyid.Of(key)
	if err != nil {
		resp.Diagnostics.AddError("The key could not be made", sentence(err.Error()))
		return
	}
	model.Key, model.KeyID = types.StringValue(key), types.StringValue(id)
	resp.Diagnostics.Append(resp.Result.Set(ctx, &model)...)
}
