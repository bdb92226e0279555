package provider

import (
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// managed is a resource as a client that speaks the protocol itself changes it.
type managed struct {
	served
	kind   string
	config *tfprotov6.DynamicValue
	state  *tfprotov6.DynamicValue
}

// object returns the type of the resource.
func (m *managed) object() tftypes.Type { return m.schemas.ResourceSchemas[m.kind].Block.ValueType() }

// change plans and applies these arguments, and returns the identity that came of it.
func (m *managed) change(set map[string]tftypes.Value) *tfprotov6.ResourceIdentityData {
	m.t.Helper()
	block := m.schemas.ResourceSchemas[m.kind].Block
	m.config = m.value(block, set)
	proposed := m.config
	prior, err := tfprotov6.NewDynamicValue(m.object(), tftypes.NewValue(m.object(), nil))
	if err != nil {
		m.t.Fatal(err)
	}
	if m.state != nil {
		prior = *m.state
		now := map[string]tftypes.Value{}
		v, err := m.state.Unmarshal(m.object())
		if err == nil {
			err = v.As(&now)
		}
		if err != nil {
			m.t.Fatal(err)
		}
		maps.Copy(now, set)
		proposed = m.value(block, now)
	}
	plan, err := m.server.PlanResourceChange(m.t.Context(), &tfprotov6.PlanResourceChangeRequest{
		TypeName: m.kind, PriorState: &prior, ProposedNewState: proposed, Config: m.config,
	})
	if err != nil || len(plan.Diagnostics) > 0 {
		m.t.Fatalf("plan: %v, %s", err, said(plan.Diagnostics))
	}
	applied, err := m.server.ApplyResourceChange(m.t.Context(), &tfprotov6.ApplyResourceChangeRequest{
		TypeName: m.kind, PriorState: &prior, PlannedState: plan.PlannedState, Config: m.config, PlannedPrivate: plan.PlannedPrivate,
	})
	if err != nil || len(applied.Diagnostics) > 0 {
		m.t.Fatalf("apply: %v, %s", err, said(applied.Diagnostics))
	}
	m.state = applied.NewState
	return applied.NewIdentity
}

// identified reads a single attribute of an identity; "" if there is none.
func (m *managed) identified(id *tfprotov6.ResourceIdentityData, attribute string) string {
	m.t.Helper()
	if id == nil || id.IdentityData == nil {
		return ""
	}
	kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{attribute: tftypes.String}}
	v, err := id.IdentityData.Unmarshal(kind)
	if err != nil {
		m.t.Fatal(err)
	}
	var (
		values map[string]tftypes.Value
		s      string
	)
	if err := v.As(&values); err != nil {
		m.t.Fatal(err)
	}
	if values[attribute].IsNull() || values[attribute].As(&s) != nil {
		return ""
	}
	return s
}

// Whoever creates, updates, reads or imports a resource learns its identity, also a client that had none before.
func TestIdentityOnEveryPath(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	agent.SetKeys(3, secondKey, map[string]int{secondKey: 3})
	set := func(peers ...string) tftypes.Value {
		var values []tftypes.Value
		for _, p := range peers {
			values = append(values, text(p))
		}
		return tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, values)
	}
	tests := map[string]struct {
		attribute, want string
		create, update  map[string]tftypes.Value
		gone            func() // makes the object vanish; nil where that is not possible
	}{
		"gossip_join": {
			attribute: "node", want: "n1",
			create: map[string]tftypes.Value{"peers": set("10.0.0.2:7946")},
			update: map[string]tftypes.Value{"peers": set("10.0.0.2:7946", "10.0.0.3:7946")},
		},
		"gossip_key": {
			attribute: "key_id", want: fingerprint(t, firstKey),
			create: map[string]tftypes.Value{"key_wo": text(firstKey), "key_wo_version": text("1")},
			update: map[string]tftypes.Value{
				"key_wo": text(firstKey), "key_wo_version": text("1"), "require_all": tftypes.NewValue(tftypes.Bool, false),
			},
			gone: func() { agent.SetKeys(3, secondKey, map[string]int{secondKey: 3}) },
		},
	}
	for kind, tt := range tests {
		t.Run(kind, func(t *testing.T) {
			m := &managed{served: serve(t, agent), kind: kind}
			learned := func(how string, id *tfprotov6.ResourceIdentityData) {
				t.Helper()
				if got := m.identified(id, tt.attribute); got != tt.want {
					t.Errorf("%s: the identity is %q, want %q", how, got, tt.want)
				}
			}
			learned("create", m.change(tt.create))
			learned("update", m.change(tt.update))
			read, err := m.server.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{TypeName: kind, CurrentState: m.state})
			if err != nil || len(read.Diagnostics) > 0 {
				t.Fatalf("read: %v, %s", err, said(read.Diagnostics))
			}
			learned("read", read.NewIdentity)

			object := tftypes.Object{AttributeTypes: map[string]tftypes.Type{tt.attribute: tftypes.String}}
			id, err := tfprotov6.NewDynamicValue(object, tftypes.NewValue(object, map[string]tftypes.Value{tt.attribute: text(tt.want)}))
			if err != nil {
				t.Fatal(err)
			}
			for how, req := range map[string]*tfprotov6.ImportResourceStateRequest{
				"by identity": {TypeName: kind, Identity: &tfprotov6.ResourceIdentityData{IdentityData: &id}},
				"by id":       {TypeName: kind, ID: tt.want},
			} {
				imported, err := m.server.ImportResourceState(t.Context(), req)
				if err != nil || len(imported.Diagnostics) > 0 || len(imported.ImportedResources) != 1 {
					t.Fatalf("import %s: %v, %s", how, err, said(imported.Diagnostics))
				}
				read, err := m.server.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
					TypeName: kind, CurrentState: imported.ImportedResources[0].State, CurrentIdentity: imported.ImportedResources[0].Identity,
				})
				if err != nil || len(read.Diagnostics) > 0 {
					t.Fatalf("read after import %s: %v, %s", how, err, said(read.Diagnostics))
				}
				learned("import "+how, read.NewIdentity)
			}
			if tt.gone == nil {
				return
			}
			tt.gone()
			read, err = m.server.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{TypeName: kind, CurrentState: m.state})
			if err != nil || len(read.Diagnostics) > 0 {
				t.Errorf("read of what is gone: %v, %s", err, said(read.Diagnostics))
			}
		})
	}
}

// A client from before write-only arguments is told so, where it would otherwise keep the secret, and only then.
func TestOldClientAndWriteOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, agentfake.New(t, "n1", ""))
	validate := func(kind string, set map[string]tftypes.Value) string {
		resp, err := s.server.ValidateResourceConfig(t.Context(), &tfprotov6.ValidateResourceConfigRequest{
			TypeName: kind, Config: s.value(s.schemas.ResourceSchemas[kind].Block, set),
			ClientCapabilities: &tfprotov6.ValidateResourceConfigClientCapabilities{WriteOnlyAttributesAllowed: false},
		})
		if err != nil {
			t.Fatal(err)
		}
		return said(resp.Diagnostics)
	}
	for kind, set := range map[string]map[string]tftypes.Value{
		"gossip_key":   {"key_wo": text(firstKey), "key_wo_version": text("1")},
		"gossip_event": {"name": text("deploy"), "payload_wo": text("hush"), "payload_wo_version": text("1")},
	} {
		if got := validate(kind, set); !strings.Contains(got, "1.11") || strings.Contains(got, "hush") || strings.Contains(got, firstKey) {
			t.Errorf("%s with a write-only argument: %q", kind, got)
		}
	}
	if got := validate("gossip_event", map[string]tftypes.Value{"name": text("deploy"), "payload": text("v1")}); got != "" {
		t.Errorf("an event without: %q", got)
	}
}
