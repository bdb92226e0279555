package reconcile

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/seed-645ce708/gossip/agent/client"
	"github.com/seed-645ce708/gossip/lbsync/internal/decide"
)

// teller logs what happens to services: each change, and each lasting state once.
type teller struct{ last map[string]string }

func (t *teller) status(log *slog.Logger, st decide.Status) {
	log = log.With("service", st.Service.Name)
	if len(st.Added)+len(st.Updated)+len(st.Removed) > 0 {
		var removed []string
		for _, r := range st.Removed {
			removed = append(removed, r.Name+" ("+r.Why+")")
		}
		log.Info("servers", "ready", len(st.Service.Ready()), "added", words(st.Added), "updated", words(st.Updated), "removed", words(removed))
	}
	if st.Waiting != "" {
		t.once(st.Service.Name+" waiting", st.Waiting, func() { log.Info("waiting before the first set", "reason", st.Waiting) })
	} else {
		t.once(st.Service.Name+" waiting", "", nil)
	}
	var held []string
	for _, h := range st.Held {
		held = append(held, h.Name)
	}
	if len(held) > 0 {
		reason := st.Held[0].Reason
		t.once(st.Service.Name+" held", fmt.Sprint(held), func() {
			log.Warn("removals held; the last good servers stay", "held", words(held), "reason", reason)
		})
	} else {
		t.once(st.Service.Name+" held", "", func() { log.Info("nothing is held any more") })
	}
	var refused []string
	for _, r := range st.Refused {
		refused = append(refused, fmt.Sprintf("%q: %s", r.Member, r.Reason))
	}
	t.once(st.Service.Name+" refused", strings.Join(refused, "; "), func() {
		if len(refused) > 0 {
			log.Warn("members that cannot be used", "members", strings.Join(refused, "; "))
		}
	})
}

// agent logs what to do if the agent refuses the key; that there is no connection, the watcher logs.
func (t *teller) agent(log *slog.Logger, view client.View) {
	refusal := ""
	if !view.Connected && errors.Is(view.Err, client.ErrAuth) {
		refusal = view.Err.Error()
	}
	t.once("agent refuses", refusal, func() {
		if refusal != "" {
			log.Error(ErrRefused.Error(), "answer", refusal, "remedy", keyRemedy)
		}
	})
}

// once calls say if the text for the key is not what it was. A key that was never set counts as empty.
func (t *teller) once(key, text string, say func()) {
	if t.last == nil {
		t.last = map[string]string{}
	}
	if t.last[key] == text {
		return
	}
	t.last[key] = text
	if say != nil {
		say()
	}
}

func words(list []string) string { return strings.Join(list, " ") }
