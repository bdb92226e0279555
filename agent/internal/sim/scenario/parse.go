package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/view"
)

// Story is a parsed scenario.
type Story struct {
	Agents int // the largest number of an agent
	steps  []step
}

// step is one line.
type step struct {
	line int
	text string
	do   func(*run) error
}

var statuses = map[string]view.Status{
	"alive": view.StatusAlive, "leaving": view.StatusLeaving, "left": view.StatusLeft, "failed": view.StatusFailed, "none": view.StatusNone,
}

// Parse reads a story. The error names the line and what is wrong with it.
func Parse(text string) (*Story, error) {
	s := &Story{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		p := parser{words: words[1:], story: s}
		do := p.step(words[0])
		if p.err == nil && len(p.words) > 0 {
			p.fail("%q is one word too many", p.words[0])
		}
		if p.err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", i+1, strings.Join(words, " "), p.err)
		}
		s.steps = append(s.steps, step{i + 1, strings.Join(words, " "), do})
	}
	return s, nil
}

// parser reads the words of one line. After the first error nothing counts.
type parser struct {
	words []string
	story *Story
	err   error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

var errMissing = errors.New("something is missing")

func (p *parser) word() string {
	if len(p.words) == 0 {
		if p.err == nil {
			p.err = errMissing
		}
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) duration(w string) time.Duration {
	d, err := time.ParseDuration(w)
	if err != nil || d < 0 {
		p.fail("%q is not a duration", w)
	}
	return d
}

func (p *parser) share() float64 {
	w := p.word()
	f, err := strconv.ParseFloat(strings.TrimSuffix(w, "%"), 64)
	if err != nil || !strings.HasSuffix(w, "%") || f < 0 || f > 100 {
		p.fail("%q is not a share such as 5%%", w)
	}
	return f / 100
}

// maxAgents bounds the number of an agent, so that a slip of a finger costs no gigabytes.
const maxAgents = 10000

func (p *parser) agent() int {
	w := p.word()
	n, err := strconv.Atoi(w)
	if err != nil || n < 1 || n > maxAgents {
		p.fail("%q is not the number of an agent", w)
		return 0
	}
	p.story.Agents = max(p.story.Agents, n)
	return n - 1
}

// agents reads "3", "3-5" or "1,4-6".
func (p *parser) agents() []int {
	var ids []int
	w := p.word()
	for part := range strings.SplitSeq(w, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || a < 1 || b < a || b > maxAgents {
			p.fail("%q is not a list of agents", w)
			return nil
		}
		p.story.Agents = max(p.story.Agents, b)
		for id := a - 1; id < b; id++ {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *parser) within() time.Duration {
	if w := p.word(); w != "within" {
		p.fail("%q is where \"within\" belongs", w)
	}
	return p.duration(p.word())
}

func (p *parser) step(verb string) func(*run) error {
	switch verb {
	case "start":
		count := p.agent() + 1
		var stagger time.Duration
		if len(p.words) > 0 {
			text, ok := strings.CutPrefix(p.word(), "stagger=")
			if !ok {
				p.fail("only stagger= may follow the number")
			}
			stagger = p.duration(text)
		}
		return func(r *run) error { r.startAll(count, stagger); return nil }
	case "run":
		d := p.duration(p.word())
		return func(r *run) error { r.c.Run(d); return nil }
	case "partition":
		group := map[int]int{}
		for i := 1; len(p.words) > 0; i++ {
			for _, id := range p.agents() {
				group[id] = i
			}
		}
		if len(group) == 0 {
			p.err = errMissing
		}
		return func(r *run) error { r.c.Partition(func(id int) int { return group[id] }); return nil }
	case "heal":
		return func(r *run) error { r.c.Partition(func(int) int { return 0 }); return nil }
	case "loss":
		if len(p.words) > 1 {
			id := p.agent()
			share := p.share()
			return func(r *run) error { r.c.LossAt(id, share); return nil }
		}
		share := p.share()
		return func(r *run) error { r.c.Loss(share); return nil }
	case "duplicate":
		share := p.share()
		return func(r *run) error { r.c.Duplicate(share); return nil }
	case "freeze":
		ids, d := p.agents(), p.duration(p.word())
		return each(ids, func(r *run, id int) { r.c.Freeze(id, d) })
	case "kill":
		return each(p.agents(), func(r *run, id int) { r.c.Kill(id) })
	case "leave":
		return each(p.agents(), func(r *run, id int) { r.c.Leave(id) })
	case "restart":
		return each(p.agents(), (*run).restart)
	case "event":
		id, name := p.agent(), p.word()
		return func(r *run) error { return r.event(id, name) }
	case "steady":
		return func(r *run) error { r.log.steady(); return nil }
	case "expect":
		return p.expectation()
	default:
		p.fail("there is no such thing to do")
		return nil
	}
}

func each(ids []int, f func(*run, int)) func(*run) error {
	return func(r *run) error {
		for _, id := range ids {
			f(r, id)
		}
		return nil
	}
}

func (p *parser) expectation() func(*run) error {
	if len(p.words) == 0 {
		p.err = errMissing
		return nil
	}
	switch first := p.words[0]; {
	case first == "steady":
		p.word()
		return func(r *run) error { return r.log.wrong() }
	case first == "converge":
		p.word()
		d := p.within()
		return func(r *run) error { return r.until(d, r.converged) }
	case first[0] >= '0' && first[0] <= '9':
		id := p.agent()
		name := p.word()
		status, ok := statuses[name]
		if !ok {
			p.fail("%q is not a status", name)
		}
		d := p.within()
		return func(r *run) error { return r.until(d, func() error { return r.allSee(id, status) }) }
	default:
		name := p.word()
		d := p.within()
		return func(r *run) error { return r.until(d, func() error { return r.allHad(name) }) }
	}
}
