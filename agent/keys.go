package agent

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/internal/gossip"
	"github.com/seed-645ce708/gossip/agent/internal/state"
	"github.com/seed-645ce708/gossip/agent/internal/wire"
)

// Key management travels in queries: one agent asks, every agent changes its own keyring and answers
// (Serf reference 2.10). This file has both sides.

// answerKeyQuery carries out a key query on our keyring and returns the answer to send.
func (a *Agent) answerKeyQuery(q state.InternalQuery) []byte {
	var room int
	if !a.core.Inspect(func(s *state.State) { room = s.ResponseRoom(q.LTime, q.ID) }) {
		return nil
	}
	response := keyResponse(a.keyring, q)
	if !response.Result {
		a.log.Error("cannot carry out a key request", "query", q.Name, "from", q.From, "err", response.Message)
	}
	return fitKeys(response, room)
}

func keyResponse(ring *gossip.Keyring, q state.InternalQuery) *wire.KeyResponse {
	if ring == nil {
		if q.Name == wire.ListKeys {
			return &wire.KeyResponse{Message: "Keyring is empty (encryption not enabled)"}
		}
		return &wire.KeyResponse{Message: "No keyring to modify (encryption not enabled)"}
	}
	request, err := wire.DecodeKeyRequest(q.Payload)
	if err != nil {
		return &wire.KeyResponse{Message: err.Error()}
	}
	switch q.Name {
	case wire.InstallKey:
		err = ring.Install(request.Key)
	case wire.UseKey:
		err = ring.Use(request.Key)
	case wire.RemoveKey:
		err = ring.Remove(request.Key)
	case wire.ListKeys:
		return listKeys(ring)
	default:
		err = fmt.Errorf("unknown key request %q", q.Name)
	}
	if err != nil {
		return &wire.KeyResponse{Message: err.Error()}
	}
	return &wire.KeyResponse{Result: true}
}

func listKeys(ring *gossip.Keyring) *wire.KeyResponse {
	r := &wire.KeyResponse{Result: true, PrimaryKey: base64.StdEncoding.EncodeToString(ring.Primary())}
	for _, key := range ring.Keys() {
		r.Keys = append(r.Keys, base64.StdEncoding.EncodeToString(key))
	}
	return r
}

// fitKeys encodes a response in at most room bytes, leaving out keys from the end of a list that is too long.
func fitKeys(r *wire.KeyResponse, room int) []byte {
	all := r.Keys
	for {
		msg := wire.Encode(r)
		if len(msg) <= room || len(r.Keys) == 0 {
			return msg
		}
		r.Keys = all[:len(r.Keys)-1]
		r.Message = fmt.Sprintf("truncated key list response, showing first %d of %d keys", len(r.Keys), len(all))
	}
}

// InstallKey adds a gossip key, in standard base64, to the keyring of every member.
func (a *Agent) InstallKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return a.askKeys(ctx, wire.InstallKey, key)
}

// UseKey makes an installed key the one that every member encrypts with.
func (a *Agent) UseKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return a.askKeys(ctx, wire.UseKey, key)
}

// RemoveKey drops a key, which must not be the primary one, from the keyring of every member.
func (a *Agent) RemoveKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return a.askKeys(ctx, wire.RemoveKey, key)
}

// ListKeys counts which keys are on how many members.
func (a *Agent) ListKeys(ctx context.Context) (api.KeyResponse, error) {
	return a.askKeys(ctx, wire.ListKeys, "")
}

// keyPatience is how long to wait at least for the members' answers, which are small and few: with the time-out that
// short queries have by default, a busy host would look like one that did not change its keys.
const keyPatience = 10 * time.Second

// askKeys sends a key query and sums up the answers. It ends when every live member has answered, or with the
// query. The response is filled in even on error.
func (a *Agent) askKeys(ctx context.Context, name, key string) (api.KeyResponse, error) {
	sum := api.KeyResponse{Messages: map[string]string{}}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return sum, err
	}
	patience := keyPatience
	a.core.Inspect(func(s *state.State) { patience = max(patience, s.DefaultQueryTimeout()) })
	q, err := a.core.Query(ctx, state.Query{
		Name: name, Payload: wire.Encode(&wire.KeyRequest{Key: raw}), Internal: true, Timeout: patience,
	})
	if err != nil {
		return sum, err
	}
	defer q.Cancel()
	sum.NumNodes = a.gossip.NumAlive()
	if name == wire.ListKeys {
		sum.Keys, sum.PrimaryKeys = map[string]int{}, map[string]int{}
	}
	for sum.NumResp < sum.NumNodes {
		select {
		case answer, open := <-q.Answers:
			if !open {
				return sum, keyError(sum)
			}
			if !answer.Ack {
				addKeyAnswer(&sum, answer.From, answer.Payload)
			}
		case <-ctx.Done():
			return sum, ctx.Err()
		}
	}
	return sum, keyError(sum)
}

func addKeyAnswer(sum *api.KeyResponse, from string, payload []byte) {
	sum.NumResp++
	r, err := wire.DecodeKeyResponse(payload)
	if err != nil {
		sum.NumErr++
		sum.Messages[from] = err.Error()
		return
	}
	if !r.Result {
		sum.NumErr++
	}
	if !r.Result || r.Message != "" {
		sum.Messages[from] = r.Message
	}
	if sum.Keys == nil {
		return // nobody asked for keys
	}
	for _, key := range r.Keys {
		sum.Keys[key]++
	}
	if r.PrimaryKey != "" {
		sum.PrimaryKeys[r.PrimaryKey]++
	}
}

// keyError is nil only if every live member did as asked.
func keyError(sum api.KeyResponse) error {
	if sum.NumErr > 0 {
		return fmt.Errorf("%d/%d nodes reported failure", sum.NumErr, sum.NumNodes)
	}
	if sum.NumResp != sum.NumNodes {
		return fmt.Errorf("%d/%d nodes reported success", sum.NumResp, sum.NumNodes)
	}
	return nil
}
