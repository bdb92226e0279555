// Package provider is the provider gossip as Terraform sees it: the provider block, and one file for each
// data source and resource. What these have in common is in attributes.go, selection.go and diagnostics.go;
// what agents are asked, and what is made of their answers, is in packages session and membership.
package provider

import (
	"context"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/providervalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/rule"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// The environment variables that stand in for attributes left out of the provider block. The agent's command
// line reads the same.
const (
	envAddress = "GOSSIP_RPC_ADDR"
	envToken   = "GOSSIP_RPC_AUTH"
)

// Defaults of the provider block.
const (
	defaultRequestTimeout = 10 * time.Second
	defaultRetryMax       = 3
	defaultRetryMinWait   = 200 * time.Millisecond
	defaultRetryMaxWait   = 3 * time.Second
	defaultEventSizeLimit = 512 // Serf reference 2.6
	maxEventSizeLimit     = 9216
)

var (
	_ provider.Provider                       = (*gossipProvider)(nil)
	_ provider.ProviderWithActions            = (*gossipProvider)(nil)
	_ provider.ProviderWithConfigValidators   = (*gossipProvider)(nil)
	_ provider.ProviderWithEphemeralResources = (*gossipProvider)(nil)
	_ provider.ProviderWithFunctions          = (*gossipProvider)(nil)
	_ provider.ProviderWithListResources      = (*gossipProvider)(nil)
)

type gossipProvider struct{ version string }

// New returns what makes the provider, which calls itself by that version.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &gossipProvider{version: version} }
}

// shared is what the provider block hands to data sources and resources.
type shared struct {
	agent          *session.Agent
	eventSizeLimit int64 // bytes of name and payload
}

type providerModel struct {
	Address        types.String `tfsdk:"address"`
	Addresses      types.List   `tfsdk:"addresses"`
	Token          types.String `tfsdk:"token"`
	TokenFile      types.String `tfsdk:"token_file"`
	RequestTimeout types.String `tfsdk:"request_timeout"`
	Retry          types.Object `tfsdk:"retry"`
	EventSizeLimit types.Int64  `tfsdk:"event_size_limit"`
	Cluster        types.String `tfsdk:"expected_cluster"`
	CAPEM          types.String `tfsdk:"ca_pem"`
	CAFile         types.String `tfsdk:"ca_file"`
	CertPEM        types.String `tfsdk:"client_cert_pem"`
	CertFile       types.String `tfsdk:"client_cert_file"`
	KeyPEM         types.String `tfsdk:"client_key_pem"`
	KeyFile        types.String `tfsdk:"client_key_file"`
	ServerName     types.String `tfsdk:"tls_server_name"`
	Insecure       types.Bool   `tfsdk:"insecure_skip_verify"`
}

type retryModel struct {
	Max     types.Int64  `tfsdk:"max"`
	MinWait types.String `tfsdk:"min_wait"`
	MaxWait types.String `tfsdk:"max_wait"`
}

func (p *gossipProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "gossip"
	resp.Version = p.version
}

func (p *gossipProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the membership of a gossip or Serf cluster, fires user events, and joins agents to each other. " +
			"It talks to one agent's RPC service, and so works with stock Serf agents too. Nothing is dialled before a data source " +
			"or resource asks for something.",
		Attributes: map[string]schema.Attribute{
			"address": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "RPC address of the agent: `host:port` or `tcp://host:port`, `unix:///path`, or `tls://host:port` for " +
					"something in front of the agent that takes TLS off, as agents do not speak it themselves. " +
					"Defaults to the environment variable `" + envAddress + "`, and then to `" + api.DefaultAddr + "`.",
				Validators: []validator.String{rule.Address()},
			},
			"addresses": schema.ListAttribute{
				ElementType: types.StringType,
				Optional:    true,
				MarkdownDescription: "RPC addresses of several agents of one cluster. They are tried in this order, and the first that " +
					"answers is kept for the whole run. Conflicts with `address`.",
				Validators: []validator.List{listvalidator.SizeAtLeast(1), listvalidator.ValueStringsAre(rule.Address())},
			},
			"token": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "The agent's RPC token (its `rpc_auth`). It may come from an ephemeral value. " +
					"Defaults to the environment variable `" + envToken + "`, and then to no token.",
			},
			"token_file": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Path of a file that holds the RPC token; spaces and line ends around it are cut off. Conflicts with `token`.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"request_timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Longest time that dialling the agent, or one short request, may take. Defaults to `10s`.",
				Validators:          []validator.String{rule.Duration(time.Millisecond)},
			},
			"retry": schema.SingleNestedAttribute{
				Optional: true,
				MarkdownDescription: "How failures of the network are met. Reads, and the dialling before a write, are repeated; " +
					"a write that may have arrived never is. Nodes that do not answer what is asked of their keyrings are asked again too, and " +
					"for `request_timeout` at least.",
				Attributes: map[string]schema.Attribute{
					"max": schema.Int64Attribute{
						Optional:            true,
						MarkdownDescription: "Repetitions after the first try. Defaults to `3`; `0` turns repeating off.",
						Validators:          []validator.Int64{int64validator.Between(0, 100)},
					},
					"min_wait": schema.StringAttribute{
						Optional:            true,
						MarkdownDescription: "Pause before the first repetition, which doubles from then on. Defaults to `200ms`.",
						Validators:          []validator.String{rule.Duration(0)},
					},
					"max_wait": schema.StringAttribute{
						Optional:            true,
						MarkdownDescription: "Longest pause between two tries. Defaults to `3s`.",
						Validators:          []validator.String{rule.Duration(0)},
					},
				},
			},
			"event_size_limit": schema.Int64Attribute{
				Optional: true,
				MarkdownDescription: "The agent's `user_event_size_limit`: most bytes that name and payload of an event may have together. " +
					"It is checked while planning. Defaults to `512`, which is the agent's own default.",
				Validators: []validator.Int64{int64validator.Between(1, maxEventSizeLimit)},
			},
			"expected_cluster": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Name of the cluster, as the agent's setting `cluster` gives it. If the agent says something else, or " +
					"nothing as stock Serf agents do, all that would read or change something is refused. Defaults to no check.",
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
		},
	}
	maps.Copy(resp.Schema.Attributes, tlsAttributes())
}

func (p *gossipProvider) ConfigValidators(context.Context) []provider.ConfigValidator {
	return append(tlsValidators(),
		providervalidator.Conflicting(path.MatchRoot("address"), path.MatchRoot("addresses")),
		providervalidator.Conflicting(path.MatchRoot("token"), path.MatchRoot("token_file")),
	)
}

// Configure reads the provider block. It never dials, so that a run which asks nothing needs no agent.
func (p *gossipProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var model providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &model)...)
	if resp.Diagnostics.HasError() {
		return
	}
	limit := int64(defaultEventSizeLimit)
	if known(model.EventSizeLimit) {
		limit = model.EventSizeLimit.ValueInt64()
	}
	sh := &shared{eventSizeLimit: limit}
	if model.unknown() {
		if req.ClientCapabilities.DeferralAllowed {
			resp.Deferred = &provider.Deferred{Reason: provider.DeferredReasonProviderConfigUnknown}
		}
		sh.agent = session.Unknown()
	} else {
		cfg := model.session(ctx, &resp.Diagnostics)
		if resp.Diagnostics.HasError() {
			return
		}
		sh.agent = session.New(cfg)
	}
	resp.DataSourceData, resp.ResourceData, resp.ActionData, resp.ListResourceData = sh, sh, sh, sh
}

// unknown reports whether something is missing that is needed to reach the agent.
func (m providerModel) unknown() bool {
	for _, v := range []attr.Value{
		m.Address, m.Addresses, m.Token, m.TokenFile, m.Retry, m.Cluster,
		m.CAPEM, m.CAFile, m.CertPEM, m.CertFile, m.KeyPEM, m.KeyFile, m.ServerName, m.Insecure,
	} {
		if v.IsUnknown() {
			return true
		}
	}
	for _, a := range m.Addresses.Elements() {
		if a.IsUnknown() {
			return true
		}
	}
	return false
}

// session makes the configuration of the connection, with the environment standing in for what is left out.
func (m providerModel) session(ctx context.Context, diags *diag.Diagnostics) session.Config {
	cfg := session.Config{
		Token:   m.Token.ValueString(),
		Cluster: m.Cluster.ValueString(),
		Timeout: duration(m.RequestTimeout, defaultRequestTimeout),
		Retry:   session.Retry{Max: defaultRetryMax, MinWait: defaultRetryMinWait, MaxWait: defaultRetryMaxWait},
	}

	var addrs []string
	from := path.Root("address")
	switch {
	case !m.Addresses.IsNull():
		from = path.Root("addresses")
		diags.Append(m.Addresses.ElementsAs(ctx, &addrs, false)...)
	case !m.Address.IsNull():
		addrs = []string{m.Address.ValueString()}
	case os.Getenv(envAddress) != "":
		addrs = []string{os.Getenv(envAddress)}
	default:
		addrs = []string{api.DefaultAddr}
	}
	for _, text := range addrs {
		addr, err := session.ParseAddress(text)
		if err != nil {
			detail := err.Error() + "."
			if m.Address.IsNull() && m.Addresses.IsNull() {
				detail += " It comes from the environment variable " + envAddress + "."
			}
			diags.AddAttributeError(from, "The address of the agent is not valid", detail)
			return cfg
		}
		cfg.Addrs = append(cfg.Addrs, addr)
	}

	switch {
	case !m.TokenFile.IsNull():
		text, err := os.ReadFile(m.TokenFile.ValueString())
		if err != nil {
			diags.AddAttributeError(path.Root("token_file"), "The file with the token cannot be read", err.Error()+".")
			return cfg
		}
		cfg.Token = strings.TrimSpace(string(text))
	case m.Token.IsNull():
		cfg.Token = os.Getenv(envToken)
	}

	cfg.TLS = m.tls(cfg.Addrs, diags)

	if !m.Retry.IsNull() {
		var retry retryModel
		diags.Append(m.Retry.As(ctx, &retry, objectOptions)...)
		if known(retry.Max) {
			cfg.Retry.Max = int(retry.Max.ValueInt64())
		}
		cfg.Retry.MinWait = duration(retry.MinWait, cfg.Retry.MinWait)
		cfg.Retry.MaxWait = max(duration(retry.MaxWait, cfg.Retry.MaxWait), cfg.Retry.MinWait)
	}
	return cfg
}

func (p *gossipProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		newAgentDataSource,
		newCoordinatesDataSource,
		newKeyringDataSource,
		newMemberDataSource,
		newMembersDataSource,
		newServiceDataSource,
	}
}

func (p *gossipProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		newBarrierResource,
		newEventResource,
		newJoinResource,
		newKeyResource,
		newPrimaryKeyResource,
		newQueryResource,
		newTagsResource,
	}
}

func (p *gossipProvider) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{newKeyEphemeral}
}

func (p *gossipProvider) Functions(context.Context) []func() function.Function { return functions() }

func (p *gossipProvider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{
		newEventAction,
		newForceLeaveAction,
		newQueryAction,
		newRejoinAction,
	}
}

func (p *gossipProvider) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{newKeyList}
}
