package trail

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/lamport"
)

// Question asks another agent what it remembers of a member: from which entry on, and the name.
type Question struct {
	From uint64
	Name string
}

// Encode writes the question.
func (q Question) Encode() []byte { return append(binary.AppendUvarint(nil, q.From), q.Name...) }

// DecodeQuestion reads what Encode wrote.
func DecodeQuestion(b []byte) (Question, error) {
	from, n := binary.Uvarint(b)
	if n <= 0 {
		return Question{}, errors.New("damaged question for a trail")
	}
	return Question{From: from, Name: string(b[n:])}, nil
}

// Page is a part of a trail on its way to another agent.
type Page struct {
	Now     time.Time // by the clock of the agent whose trail it is
	Began   time.Time // from when on it has memory
	Flaps   int
	Entries []Entry
	// Next is the number of the entry after the last one here, if there are more; else 0.
	Next uint64
}

type wirePage struct {
	Now     int64       `json:"t"`
	Began   int64       `json:"b"`
	Flaps   int         `json:"f,omitempty"`
	Entries []wireEntry `json:"e,omitempty"`
	Next    uint64      `json:"n,omitempty"`
}

type wireEntry struct {
	At    int64        `json:"t"`
	Kind  Kind         `json:"k"`
	Text  string       `json:"x,omitempty"`
	LTime lamport.Time `json:"l,omitempty"`
	Count int          `json:"c,omitempty"` // 0 means once
	Last  int64        `json:"u,omitempty"` // only if more than once
}

// Page writes, in at most limit bytes, what is remembered of a member from an entry on. The limit must have room for
// one entry, about 1100 bytes at worst.
func (t *Trail) Page(now time.Time, q Question, limit int) ([]byte, error) {
	entries, flaps := t.from(q.Name, q.From)
	p := wirePage{Now: now.UnixNano(), Began: t.began.UnixNano(), Flaps: flaps}
	b, err := json.Marshal(p)
	for i, e := range entries {
		w := wireEntry{At: e.At.UnixNano(), Kind: e.Kind, Text: e.Text, LTime: e.LTime}
		if e.Count > 1 {
			w.Count, w.Last = e.Count, e.Last.UnixNano()
		}
		p.Entries = append(p.Entries, w)
		p.Next = 0
		if i < len(entries)-1 {
			p.Next = entries[i+1].number
		}
		longer, err2 := json.Marshal(p)
		if err2 != nil || len(longer) > limit {
			if i == 0 {
				return nil, fmt.Errorf("an entry of the trail needs more than %d bytes", limit)
			}
			return b, err2
		}
		b = longer
	}
	return b, err
}

// DecodePage reads what Trail.Page wrote.
func DecodePage(b []byte) (Page, error) {
	var w wirePage
	if err := json.Unmarshal(b, &w); err != nil {
		return Page{}, fmt.Errorf("damaged trail: %w", err)
	}
	p := Page{Now: time.Unix(0, w.Now), Began: time.Unix(0, w.Began), Flaps: w.Flaps, Next: w.Next}
	for _, e := range w.Entries {
		at := time.Unix(0, e.At)
		entry := Entry{At: at, Kind: e.Kind, Text: e.Text, LTime: e.LTime, Count: 1, Last: at}
		if e.Count > 1 {
			entry.Count, entry.Last = e.Count, time.Unix(0, e.Last)
		}
		p.Entries = append(p.Entries, entry)
	}
	return p, nil
}
