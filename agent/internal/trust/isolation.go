package trust

import (
	"fmt"
	"sort"
	"time"
)

// losses are members that vanished within Memory.
type losses struct {
	all   []time.Time
	burst int // the most of them within Burst, without those accounted for
}

func (t *Tracker) losses(now time.Time) losses {
	var l losses
	var unexplained []time.Time
	for _, p := range t.peers {
		if p.lost.IsZero() {
			continue
		}
		l.all = append(l.all, p.lost)
		if !p.accountedFor(now) {
			unexplained = append(unexplained, p.lost)
		}
	}
	sort.Slice(unexplained, func(i, j int) bool { return unexplained[i].Before(unexplained[j]) })
	first := 0
	for i, at := range unexplained {
		for at.Sub(unexplained[first]) > Burst {
			first++
		}
		l.burst = max(l.burst, i-first+1)
	}
	return l
}

// accountedFor tells that the member's host refused a connection while, or since, the member was lost.
func (p *peer) accountedFor(now time.Time) bool {
	switch {
	case p.refused.IsZero():
		return false
	case p.mark.Since.IsZero(): // it still counts as alive
		return now.Sub(p.refused) <= Burst
	default:
		return p.mark.Since.Sub(p.refused) <= Burst
	}
}

// weigh decides whether we are isolated.
func (t *Tracker) weigh(now time.Time, lost losses) {
	if t.cfg.Quiet <= 0 {
		return
	}
	evidence := t.silence(now)
	if left := 1 + t.visible; evidence == "" && lost.burst > left {
		evidence = fmt.Sprintf("%d members vanished within a minute, which is more than the %d that are left, this one included, "+
			"and none of their hosts refused a connection", lost.burst, left)
	}
	switch {
	case evidence != "":
		t.isolated, t.because, t.good = true, evidence, time.Time{}
	case !t.isolated:
	case t.good.IsZero():
		t.good = now
		t.because = fmt.Sprintf("cut off until %s, and members may still come back", now.Format(time.TimeOnly))
	case now.Sub(t.good) >= t.cfg.Quiet:
		t.isolated, t.because, t.good = false, "", time.Time{}
	}
}

// minSilent is how many members must be silent at the least: one alone is as likely gone as we are cut off.
const minSilent = 2

// silence returns what speaks for isolation in that nobody is heard of.
func (t *Tracker) silence(now time.Time) string {
	heard := t.awake
	for _, at := range []time.Time{t.contact, t.refused} {
		if at.After(heard) {
			heard = at
		}
	}
	if now.Sub(heard) < t.cfg.Quiet {
		return ""
	}
	silent := t.visible + t.failed
	for _, p := range t.peers {
		if p.present() && p.accountedFor(now) {
			silent--
		}
	}
	if silent < minSilent {
		return ""
	}
	return fmt.Sprintf("no sign of life from any of %d other members since %s", silent, heard.Format(time.TimeOnly))
}
