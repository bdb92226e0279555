package provider

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// Actions and lists need a newer Terraform than many have: these tests speak the protocol themselves.

// served is a provider that was configured for an agent.
type served struct {
	t       *testing.T
	server  tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func serve(t *testing.T, agent *agentfake.Agent) served {
	t.Helper()
	return serveAt(t, text(agent.Addr()))
}

// serveAt is serve for an address that may be unknown.
func serveAt(t *testing.T, address tftypes.Value) served {
	t.Helper()
	s := served{t: t, server: providerserver.NewProtocol6(New("test")())()}
	var err error
	if s.schemas, err = s.server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{}); err != nil {
		t.Fatal(err)
	}
	config := s.value(s.schemas.Provider.Block, map[string]tftypes.Value{"address": address})
	resp, err := s.server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: config})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatalf("configure: %v, %s", err, said(resp.Diagnostics))
	}
	return s
}

// value makes a configuration of some attributes; the others are null.
func (s served) value(block *tfprotov6.SchemaBlock, set map[string]tftypes.Value) *tfprotov6.DynamicValue {
	s.t.Helper()
	object, ok := block.ValueType().(tftypes.Object)
	if !ok {
		s.t.Fatal("the schema is of no object")
	}
	values := map[string]tftypes.Value{}
	for name, kind := range object.AttributeTypes {
		values[name] = tftypes.NewValue(kind, nil)
	}
	maps.Copy(values, set)
	v, err := tfprotov6.NewDynamicValue(object, tftypes.NewValue(object, values))
	if err != nil {
		s.t.Fatal(err)
	}
	return &v
}

// action plans an action, and returns its configuration and what the plan complained of.
func (s served) action(name string, set map[string]tftypes.Value) (
	actions tfprotov6.ProviderServerWithActions, config *tfprotov6.DynamicValue, complaint string, //nolint:staticcheck // the interface of this version of the library
) {
	s.t.Helper()
	actions, ok := s.server.(tfprotov6.ProviderServerWithActions) //nolint:staticcheck // as above
	if !ok {
		s.t.Fatal("the provider has no actions")
	}
	schema, ok := s.schemas.ActionSchemas[name]
	if !ok {
		s.t.Fatalf("there is no action %s", name)
	}
	config = s.value(schema.Schema.Block, set)
	plan, err := actions.PlanAction(s.t.Context(), &tfprotov6.PlanActionRequest{ActionType: name, Config: config})
	if err != nil {
		s.t.Fatal(err)
	}
	return actions, config, said(plan.Diagnostics)
}

// invoke plans and runs an action, and returns its lines of progress, sorted, and what either complained of.
func (s served) invoke(name string, set map[string]tftypes.Value) (progress []string, complaint string) {
	s.t.Helper()
	actions, config, complaint := s.action(name, set)
	if complaint != "" {
		return nil, complaint
	}
	resp, err := actions.InvokeAction(s.t.Context(), &tfprotov6.InvokeActionRequest{ActionType: name, Config: config})
	if err != nil {
		s.t.Fatal(err)
	}
	for event := range resp.Events {
		switch e := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			progress = append(progress, e.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			complaint = said(e.Diagnostics)
		}
	}
	slices.Sort(progress)
	return progress, complaint
}

func said(diagnostics []*tfprotov6.Diagnostic) string {
	var b strings.Builder
	for _, d := range diagnostics {
		fmt.Fprintf(&b, "%s: %s\n", d.Summary, d.Detail)
	}
	return b.String()
}

func text(s string) tftypes.Value { return tftypes.NewValue(tftypes.String, s) }

func TestActionEvent(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	s := serve(t, agent)
	progress, complaint := s.invoke("gossip_event", map[string]tftypes.Value{"name": text("deploy"), "payload": text("v1")})
	if complaint != "" || !slices.Equal(progress, []string{"fired deploy at n1"}) {
		t.Errorf("progress %q, complaint %q", progress, complaint)
	}
	if err := fired(agent, 1, "v1")(nil); err != nil {
		t.Error(err)
	}
	_, complaint = s.invoke("gossip_event", map[string]tftypes.Value{"name": text("deploy"), "payload": text(strings.Repeat("x", 600))})
	if !strings.Contains(complaint, "have 606 bytes together, and the agent takes 512") {
		t.Errorf("too large an event: %q", complaint)
	}
	agent.BecomeOurs(api.EventReceipt{Node: "n2", Status: api.ReceiptMissing})
	progress, complaint = s.invoke("gossip_event", map[string]tftypes.Value{"name": text("deploy"), "wait_timeout": text("1s")})
	if !slices.Contains(progress, "n2: missing") || !strings.Contains(complaint, "n2: had not got the event in time") {
		t.Errorf("progress %q, complaint %q", progress, complaint)
	}
}

func TestActionQuery(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	answering(agent, map[string]string{"a": "up 3 days\n", "b": "\xff"})
	s := serve(t, agent)
	progress, complaint := s.invoke("gossip_query", map[string]tftypes.Value{"name": text("uptime"), "min_responses": tftypes.NewValue(tftypes.Number, 3)})
	if want := []string{"a: up 3 days", "b: 1 bytes that are no text"}; !slices.Equal(progress, want) {
		t.Errorf("progress %q, want %q", progress, want)
	}
	if !strings.Contains(complaint, "min_responses asks for 3; it was answered by a, b") {
		t.Errorf("complaint %q", complaint)
	}
}

func TestActionForceLeaveAndRejoin(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.Kill("10.0.0.9:7946")
	s := serve(t, agent)
	if _, complaint := s.invoke("gossip_force_leave", map[string]tftypes.Value{"name": text("gone"), "prune": tftypes.NewValue(tftypes.Bool, true)}); complaint != "" {
		t.Error(complaint)
	}
	if forced := agent.Forced(); len(forced) != 1 || forced[0] != (api.ForceLeaveRequest{Node: "gone", Prune: true}) {
		t.Errorf("forced %+v", forced)
	}
	peers := func(addrs ...string) map[string]tftypes.Value {
		var values []tftypes.Value
		for _, a := range addrs {
			values = append(values, text(a))
		}
		return map[string]tftypes.Value{"peers": tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, values)}
	}
	if progress, complaint := s.invoke("gossip_rejoin", peers("10.0.0.8:7946", "10.0.0.9:7946")); complaint != "" || !slices.Equal(progress, []string{"reached 1 of 2 peers"}) {
		t.Errorf("progress %q, complaint %q", progress, complaint)
	}
	if _, complaint := s.invoke("gossip_rejoin", peers("10.0.0.9:7946")); !strings.Contains(complaint, "No peer could be reached") {
		t.Errorf("complaint %q", complaint)
	}
}

// With preflight, and only then, the plan finds out that an agent is down or refuses; an address that is not known yet is not
// waited for.
func TestActionPreflight(t *testing.T) {
	t.Parallel()
	gone, shut := agentfake.New(t, "n1", ""), agentfake.New(t, "n2", "open-sesame")
	gone.Stop()
	down, refusing, well := serve(t, gone), serve(t, shut), serve(t, agentfake.New(t, "n3", ""))
	unknown := serveAt(t, tftypes.NewValue(tftypes.String, tftypes.UnknownValue))
	for name, arguments := range map[string]map[string]tftypes.Value{
		"gossip_event":       {"name": text("deploy")},
		"gossip_query":       {"name": text("uptime")},
		"gossip_force_leave": {"name": text("gone")},
		"gossip_rejoin":      {"peers": tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, []tftypes.Value{text("10.0.0.8")})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, tt := range map[string]struct {
				served served
				want   string
			}{
				"down":     {down, "Check that the agent runs"},
				"refusing": {refusing, "GOSSIP_RPC_AUTH"},
				"well":     {well, ""},
				"unknown":  {unknown, ""},
			} {
				tt.served.t = t
				for _, asked := range []bool{false, true} {
					set := maps.Clone(arguments)
					want := ""
					if asked {
						set["preflight"], want = tftypes.NewValue(tftypes.Bool, true), tt.want
					}
					_, _, complaint := tt.served.action(name, set)
					if (complaint == "") != (want == "") || !strings.Contains(complaint, want) {
						t.Errorf("agent %s, preflight %v: the plan says %q, want %q", what, asked, complaint, want)
					}
				}
			}
		})
	}
}

func TestListKeys(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetKeys(3, firstKey, map[string]int{firstKey: 3, secondKey: 2})
	s := serve(t, agent)
	lists, ok := s.server.(tfprotov6.ProviderServerWithListResource) //nolint:staticcheck // as above
	if !ok {
		t.Fatal("the provider has no lists")
	}
	ids := []string{fingerprint(t, firstKey), fingerprint(t, secondKey)}
	slices.Sort(ids)
	for _, limit := range []int64{1, 100} {
		stream, err := lists.ListResource(t.Context(), &tfprotov6.ListResourceRequest{
			TypeName: "gossip_key", Limit: limit, IncludeResource: true,
			Config: s.value(s.schemas.ListResourceSchemas["gossip_key"].Block, nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for result := range stream.Results {
			if len(result.Diagnostics) > 0 {
				t.Error(said(result.Diagnostics))
			}
			if result.Identity == nil || result.Resource == nil {
				t.Errorf("%s has no identity or no resource", result.DisplayName)
			}
			names = append(names, result.DisplayName)
		}
		if want := ids[:min(int(limit), 2)]; !slices.Equal(names, want) {
			t.Errorf("with limit %d: %v, want %v", limit, names, want)
		}
	}
}
