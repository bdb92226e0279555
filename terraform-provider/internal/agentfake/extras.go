package agentfake

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seed-645ce708/gossip/agent/api"
)

// BecomeOurs makes the agent claim to be a gossip agent: it gives receipts, these, and says what its primary key is.
func (a *Agent) BecomeOurs(receipts ...api.EventReceipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ours, a.receipts = true, receipts
}

// Doubt makes the agent say how far it trusts its view.
func (a *Agent) Doubt(c api.Confidence) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubt = &c
}

// SetKeys turns encryption on: of so many nodes, each key is on as many as the map says.
func (a *Agent) SetKeys(nodes int, primary string, keys map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes, a.primary, a.keys = nodes, primary, maps.Clone(keys)
}

// Keys returns how many nodes have each key, and which key is the primary one.
func (a *Agent) Keys() (keys map[string]int, primary string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.keys), a.primary
}

// KeyChanges returns what was asked to be changed of keys, each as COMMAND KEY, in order.
func (a *Agent) KeyChanges() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.keyLog)
}

// RefuseKeys makes nodes refuse to install keys, for the reasons given.
func (a *Agent) RefuseKeys(reasons map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keyErrors = maps.Clone(reasons)
}

// Mute makes one node not answer the next n requests about keys; it does as it is told.
func (a *Agent) Mute(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute = n
}

// Answer says who answers a query, and what.
func (a *Agent) Answer(f func(api.QueryRequest) map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = f
}

// Queries returns the queries asked so far.
func (a *Agent) Queries() []api.QueryRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.queries)
}

// Forced returns the members that were forced to leave.
func (a *Agent) Forced() []api.ForceLeaveRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.forced)
}

// SetCoordinates gives the agent network coordinates.
func (a *Agent) SetCoordinates(coords map[string]api.Coordinate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coords = maps.Clone(coords)
}

// SetTags makes the agent's own tags these.
func (a *Agent) SetTags(tags map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setTags(tags)
}

// Tags returns the agent's own tags.
func (a *Agent) Tags() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.members {
		if m.Name == a.name {
			return maps.Clone(m.Tags)
		}
	}
	return nil
}

func (a *Agent) setTags(tags map[string]string) {
	a.members = slices.Clone(a.members)
	for i := range a.members {
		if a.members[i].Name == a.name {
			a.members[i].Tags = maps.Clone(tags)
		}
	}
}

func (a *Agent) retag(r api.TagsRequest) {
	for _, m := range a.members {
		if m.Name != a.name {
			continue
		}
		tags := maps.Clone(m.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		for _, key := range r.DeleteTags {
			delete(tags, key)
		}
		maps.Copy(tags, r.Tags)
		a.setTags(tags)
		return
	}
}

func (a *Agent) query(r api.QueryRequest) []any {
	a.queries = append(a.queries, r)
	var records []any
	if a.answers != nil {
		for node, answer := range a.answers(r) {
			records = append(records, api.QueryRecord{Type: api.QueryRecordResponse, From: node, Payload: []byte(answer)})
		}
	}
	return append(records, api.QueryRecord{Type: api.QueryRecordDone})
}

func (a *Agent) changeKey(command, key, text string) (string, api.KeyResponse) {
	response := api.KeyResponse{Messages: map[string]string{}, NumNodes: a.nodes, NumResp: a.nodes}
	if text != "" {
		return text, response
	}
	if a.keys == nil {
		response.NumNodes, response.NumResp, response.NumErr = 1, 1, 1
		response.Messages[a.name] = "No keyring to modify (encryption not enabled)"
		return "1/1 nodes reported failure", response
	}
	fail := func(reasons map[string]string) (string, api.KeyResponse) {
		response.Messages, response.NumErr = reasons, len(reasons)
		return fmt.Sprintf("%d/%d nodes reported failure", len(reasons), a.nodes), response
	}
	if command != api.CommandListKeys {
		a.keyLog = append(a.keyLog, command+" "+key)
	}
	switch command {
	case api.CommandInstallKey:
		a.keys[key] = max(a.keys[key], a.nodes-len(a.keyErrors))
		if len(a.keyErrors) > 0 {
			return fail(a.keyErrors)
		}
	case api.CommandUseKey:
		a.primary = key
	case api.CommandRemoveKey:
		if key == a.primary {
			return fail(map[string]string{a.name: "removing the primary key is not allowed"})
		}
		delete(a.keys, key)
	case api.CommandListKeys:
		response.Keys = a.keys
		if a.ours {
			response.PrimaryKeys = map[string]int{a.primary: a.nodes}
		}
	}
	if a.mute > 0 {
		a.mute--
		response.NumResp--
		return fmt.Sprintf("%d/%d nodes reported success", response.NumResp, a.nodes), response
	}
	return "", response
}
