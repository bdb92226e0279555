package provider

import (
	"cmp"
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	dsschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/membership"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// memberModel is a member in results.
type memberModel struct {
	Name     string            `tfsdk:"name"`
	Address  string            `tfsdk:"address"`
	Port     int64             `tfsdk:"port"`
	Status   string            `tfsdk:"status"`
	Tags     map[string]string `tfsdk:"tags"`
	Protocol int64             `tfsdk:"protocol"`
}

func newMemberModel(m membership.Member) memberModel {
	return memberModel{
		Name:     m.Name,
		Address:  m.Endpoint.Addr().String(),
		Port:     int64(m.Endpoint.Port()),
		Status:   m.Status,
		Tags:     m.Tags,
		Protocol: m.Protocol,
	}
}

// memberType is the plain type of a member, for attributes that tests of modules can mock.
func memberType() attr.Type {
	return types.ObjectType{AttrTypes: map[string]attr.Type{
		"name":     types.StringType,
		"address":  types.StringType,
		"port":     types.Int64Type,
		"status":   types.StringType,
		"tags":     types.MapType{ElemType: types.StringType},
		"protocol": types.Int64Type,
	}}
}

// What the fields of a member mean.
const (
	descName     = "Node name, unique in the cluster."
	descAddress  = "IP address at which the member gossips."
	descPort     = "Port at which the member gossips."
	descStatus   = "Status: `alive`, `leaving`, `left` or `failed`."
	descTags     = "Tags of the member."
	descObserver = "Node name of the agent that was asked."
	descProtocol = "Version of Serf's protocol that the member speaks."
)

// memberAttributes describes the fields of a member that a data source works out.
func memberAttributes() map[string]dsschema.Attribute {
	return map[string]dsschema.Attribute{
		"name":     dsschema.StringAttribute{Computed: true, MarkdownDescription: descName},
		"address":  dsschema.StringAttribute{Computed: true, MarkdownDescription: descAddress},
		"port":     dsschema.Int64Attribute{Computed: true, MarkdownDescription: descPort},
		"status":   dsschema.StringAttribute{Computed: true, MarkdownDescription: descStatus},
		"tags":     dsschema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: descTags},
		"protocol": dsschema.Int64Attribute{Computed: true, MarkdownDescription: descProtocol},
	}
}

// choose returns what the agent sees and which of it the filter selects: at once, or after waiting.
func choose(ctx context.Context, agent *session.Agent, wait *membership.Wait, guard membership.Guard, filter membership.Filter) (membership.View, []membership.Member, error) {
	if wait != nil {
		return wait.Until(ctx, agent.View, guard, filter)
	}
	view, err := agent.View(ctx)
	if err != nil {
		return view, nil, err
	}
	return view, filter.Select(view.Members), guard.Check(view)
}

// sortedUnique returns the names in order, each once. The result is never nil.
func sortedUnique(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return slices.Compact(names)
}

// nearestFirst returns the nodes in the order of their round-trip times.
func nearestFirst(rtt map[string]float64) []string {
	nodes := make([]string, 0, len(rtt))
	for node := range rtt {
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b string) int {
		return cmp.Or(cmp.Compare(rtt[a], rtt[b]), cmp.Compare(a, b))
	})
	return nodes
}
