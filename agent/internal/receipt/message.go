package receipt

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// Encode writes the question for the event's receipt: Lamport time and hash.
func (id ID) Encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(id.LTime)), id.Hash[:]...)
}

// DecodeID reads what ID.Encode wrote.
func DecodeID(b []byte) (ID, error) {
	if len(b) != 16 {
		return ID{}, fmt.Errorf("a question for a receipt has 16 bytes, not %d", len(b))
	}
	return ID{LTime: lamport.Time(binary.BigEndian.Uint64(b)), Hash: [8]byte(b[8:])}, nil
}

// Encode writes the receipt, as JSON so that later versions can add to it, in at most limit bytes: long commands and
// errors are cut, and runs that went well are left out first.
func (r Receipt) Encode(limit int) ([]byte, error) {
	runs := make([]Run, len(r.Runs))
	for i, run := range r.Runs {
		run.Command, run.Error = shorten(run.Command), shorten(run.Error)
		runs[i] = run
	}
	r.Runs = runs
	b, err := json.Marshal(r)
	if err == nil && len(b) > limit {
		sort.SliceStable(r.Runs, func(i, j int) bool { return rank(r.Runs[i].State) < rank(r.Runs[j].State) })
	}
	for err == nil && len(b) > limit && len(r.Runs) > 0 {
		r.Runs = r.Runs[:len(r.Runs)-1]
		r.More++
		b, err = json.Marshal(r)
	}
	return b, err
}

// rank orders states by how much they matter.
func rank(s State) int {
	return slices.Index([]State{Queued, Running, Failed, Dropped, OK}, s)
}

// Decode reads what Encode wrote.
func Decode(b []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(b, &r); err != nil {
		return Receipt{}, fmt.Errorf("damaged receipt: %w", err)
	}
	return r, nil
}
