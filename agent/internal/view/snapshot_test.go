package view_test

import (
	"testing"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// judge says what it is told to say.
type judge struct{ view.Verdict }

func (j *judge) Judge([]*view.Member) view.Verdict { return j.Verdict }

func TestRejudge(t *testing.T) {
	t.Parallel()
	st, j := view.NewStore("local"), &judge{}
	st.SetJudge(j)
	first := st.Publish([]*view.Member{{Name: "a"}})
	if st.Rejudge() || st.Load() != first {
		t.Fatal("a new snapshot although nothing changed")
	}
	j.Confidence.VisibleShare = 0.5 // not worth a snapshot
	if st.Rejudge() {
		t.Fatal("a new snapshot for a figure")
	}
	for _, change := range []func(){
		func() { j.Confidence.Synced = true },
		func() { j.Confidence.Isolated = true },
		func() { j.Confidence.Evidence = "silence" },
		func() { j.Marks = map[string]view.Mark{"a": {Suppressed: true}} },
		func() { j.Marks = nil },
	} {
		old, newer := st.Watch()
		change()
		if !st.Rejudge() {
			t.Fatal("no new snapshot")
		}
		snap := st.Load()
		if snap.Rev != old.Rev+1 || snap.Members[0] != old.Members[0] || snap.Local != "local" || snap.Confidence != j.Confidence {
			t.Errorf("got %+v after %+v", snap, old)
		}
		if snap.Suppressed("a") != j.Marks["a"].Suppressed || snap.Suppressed("b") {
			t.Error("suppression is not what the judge said")
		}
		<-newer
	}
}
