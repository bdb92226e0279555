package provider

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/keyid"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/placement"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/size"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tagtext"
)

// pure is a provider function: a name, a definition, and what it does. All of them work on their arguments alone, since
// Terraform runs them on a provider that is not configured.
type pure struct {
	name string
	def  function.Definition
	run  func(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError
}

var _ function.Function = pure{}

func (f pure) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = f.name
}

func (f pure) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = f.def
}

func (f pure) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	resp.Error = function.ConcatFuncErrors(resp.Error, f.run(ctx, req, resp))
}

// addressType is the result of parse_address.
var addressType = map[string]attr.Type{"host": types.StringType, "port": types.Int64Type, "is_ipv6": types.BoolType}

func stringParameter(name, description string) function.Parameter {
	return function.StringParameter{Name: name, MarkdownDescription: description}
}

func functions() []func() function.Function {
	var makers []func() function.Function
	for _, f := range []pure{
		{"parse_address", function.Definition{
			Summary:             "Takes an address apart.",
			MarkdownDescription: "Takes `host:port`, or `host` alone for which `port` is null, apart into an object with `host`, `port` and `is_ipv6`. IPv6 may be in brackets.",
			Parameters:          []function.Parameter{stringParameter("address", "Address such as `10.0.0.1:7946` or `[2001:db8::1]:7946`.")},
			Return:              function.ObjectReturn{AttributeTypes: addressType},
		}, parseAddress},
		{"format_address", function.Definition{
			Summary:             "Puts host and port together.",
			MarkdownDescription: "Puts host and port together as `host:port`, with IPv6 in brackets.",
			Parameters: []function.Parameter{
				stringParameter("host", "Host name or IP address."),
				function.Int64Parameter{Name: "port", MarkdownDescription: "Port, 1 to 65535."},
			},
			Return: function.StringReturn{},
		}, formatAddress},
		{"parse_tags", function.Definition{
			Summary:             "Reads tags from text.",
			MarkdownDescription: "Reads tags from text such as `role=web,zone=a` into a map. Empty text is an empty map.",
			Parameters:          []function.Parameter{stringParameter("text", "Tags as `KEY=VALUE`, separated by commas. A value has no comma.")},
			Return:              function.MapReturn{ElementType: types.StringType},
		}, parseTags},
		{"format_tags", function.Definition{
			Summary:             "Writes tags as text.",
			MarkdownDescription: "Writes tags as text such as `role=web,zone=a`, sorted by key. A key with `=` or `,`, or a value with `,`, is an error.",
			Parameters:          []function.Parameter{function.MapParameter{Name: "tags", ElementType: types.StringType, MarkdownDescription: "Tags."}},
			Return:              function.StringReturn{},
		}, formatTags},
		{"tags_size", function.Definition{
			Summary:             "Tells how many bytes tags take.",
			MarkdownDescription: fmt.Sprintf("Tells how many bytes tags take on the wire. All tags of a node together may take %d.", size.MaxTags),
			Parameters:          []function.Parameter{function.MapParameter{Name: "tags", ElementType: types.StringType, MarkdownDescription: "Tags."}},
			Return:              function.Int64Return{},
		}, tagsSize},
		{"event_size", function.Definition{
			Summary:             "Tells how many bytes an event takes.",
			MarkdownDescription: "Tells how many bytes an event takes of the agent's `user_event_size_limit`, which is 512 by default.",
			Parameters: []function.Parameter{
				stringParameter("name", "Name of the event."),
				stringParameter("payload", "Payload as text; empty if there is none."),
			},
			Return: function.Int64Return{},
		}, eventSize},
		{"key_id", function.Definition{
			Summary:             "Names an encryption key by its fingerprint.",
			MarkdownDescription: "Names an encryption key by its fingerprint, which `gossip_key` and `gossip_keyring` use. It gives nothing of the key away.",
			Parameters:          []function.Parameter{stringParameter("key", "Key in standard base64, of 16, 24 or 32 bytes.")},
			Return:              function.StringReturn{},
		}, keyID},
		{"pick", function.Definition{
			Summary: "Picks names for a key.",
			MarkdownDescription: "Picks `n` of the names for a key, always the same ones, spread evenly over keys; when a name comes or goes, only the picks that it takes " +
				"part in change (rendezvous hashing). The best pick is first. Fewer names than `n` are all picked.",
			Parameters: []function.Parameter{
				stringParameter("key", "What to place, such as the name of a shard."),
				function.SetParameter{Name: "names", ElementType: types.StringType, MarkdownDescription: "Names to pick from, such as node names."},
				function.Int64Parameter{Name: "n", MarkdownDescription: "How many to pick."},
			},
			Return: function.ListReturn{ElementType: types.StringType},
		}, pick},
	} {
		makers = append(makers, func() function.Function { return f })
	}
	return makers
}

func parseAddress(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var text string
	if err := req.Arguments.Get(ctx, &text); err != nil {
		return err
	}
	host, portText, port := text, "", types.Int64Null()
	h, p, noPort := net.SplitHostPort(text)
	if noPort == nil {
		host, portText = h, p
	} else if ip := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"); len(ip) == len(text)-2 {
		host = ip
	}
	addr, err := netip.ParseAddr(host)
	if host == "" || strings.ContainsAny(host, " \t\n/[]") || err != nil && strings.Contains(host, ":") {
		return function.NewArgumentFuncError(0, fmt.Sprintf("%q is no address; write host, host:port or [IPv6]:port", text))
	}
	if noPort == nil {
		n, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || n == 0 {
			return function.NewArgumentFuncError(0, fmt.Sprintf("%q: port %q is not a number from 1 to 65535", text, portText))
		}
		port = types.Int64Value(int64(n)) //nolint:gosec // it has 16 bits
	}
	result, diags := types.ObjectValue(addressType, map[string]attr.Value{
		"host": types.StringValue(host), "port": port, "is_ipv6": types.BoolValue(err == nil && addr.Is6()),
	})
	return function.ConcatFuncErrors(function.FuncErrorFromDiags(ctx, diags), resp.Result.Set(ctx, result))
}

func formatAddress(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var (
		host string
		port int64
	)
	if err := req.Arguments.Get(ctx, &host, &port); err != nil {
		return err
	}
	if host == "" || strings.ContainsAny(host, " \t\n/[]") {
		return function.NewArgumentFuncError(0, fmt.Sprintf("%q is neither a host name nor an IP address", host))
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		return function.NewArgumentFuncError(0, fmt.Sprintf("%q is neither a host name nor an IP address", host))
	}
	if port < 1 || port > 65535 {
		return function.NewArgumentFuncError(1, fmt.Sprintf("port %d is not from 1 to 65535", port))
	}
	return resp.Result.Set(ctx, net.JoinHostPort(host, strconv.FormatInt(port, 10)))
}

func parseTags(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var text string
	if err := req.Arguments.Get(ctx, &text); err != nil {
		return err
	}
	tags, err := tagtext.Parse(text)
	if err != nil {
		return function.NewArgumentFuncError(0, err.Error())
	}
	return resp.Result.Set(ctx, tags)
}

func formatTags(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	tags, fault := tagsArgument(ctx, req)
	if fault != nil {
		return fault
	}
	text, err := tagtext.Format(tags)
	if err != nil {
		return function.NewArgumentFuncError(0, err.Error())
	}
	return resp.Result.Set(ctx, text)
}

func tagsSize(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	tags, fault := tagsArgument(ctx, req)
	if fault != nil {
		return fault
	}
	return resp.Result.Set(ctx, int64(size.Tags(tags)))
}

// tagsArgument reads a map whose values must all be there.
func tagsArgument(ctx context.Context, req function.RunRequest) (map[string]string, *function.FuncError) {
	var values map[string]types.String
	if err := req.Arguments.Get(ctx, &values); err != nil {
		return nil, err
	}
	tags := make(map[string]string, len(values))
	for key, value := range values {
		if value.IsNull() {
			return nil, function.NewArgumentFuncError(0, fmt.Sprintf("the tag %q is null; leave it out, or give it a value", key))
		}
		tags[key] = value.ValueString()
	}
	return tags, nil
}

func eventSize(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var name, payload string
	if err := req.Arguments.Get(ctx, &name, &payload); err != nil {
		return err
	}
	return resp.Result.Set(ctx, int64(size.Event(name, len(payload))))
}

func keyID(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var key string
	if err := req.Arguments.Get(ctx, &key); err != nil {
		return err
	}
	id, err := keyid.Of(key)
	if err != nil {
		return function.NewArgumentFuncError(0, err.Error())
	}
	return resp.Result.Set(ctx, id)
}

func pick(ctx context.Context, req function.RunRequest, resp *function.RunResponse) *function.FuncError {
	var (
		key   string
		names []string
		n     int64
	)
	if err := req.Arguments.Get(ctx, &key, &names, &n); err != nil {
		return err
	}
	if n < 0 {
		return function.NewArgumentFuncError(2, fmt.Sprintf("%d names cannot be picked", n))
	}
	return resp.Result.Set(ctx, placement.Pick(key, names, int(min(n, int64(len(names))))))
}
