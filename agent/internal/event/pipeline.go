package event

import (
	"sync"
	"time"
)

// Pipeline is the way from the core to those who read events: the coalescers, and the log. It holds no more than the
// coalescers do, and whoever emits never waits for a reader.
type Pipeline struct {
	out *Log

	mu      sync.Mutex
	held    *Coalescer
	flush   *time.Timer // runs while something is held
	stopped bool
}

// PipelineConfig sets up a Pipeline.
type PipelineConfig struct {
	Out      *Log // where events go
	Coalesce CoalesceConfig
}

// StartPipeline returns a pipeline. Stop ends it.
func StartPipeline(cfg PipelineConfig) *Pipeline {
	p := &Pipeline{out: cfg.Out, held: NewCoalescer(cfg.Coalesce)}
	p.flush = time.AfterFunc(time.Hour, p.due)
	p.flush.Stop()
	return p
}

// Emit passes e on to the log, at once or coalesced. After Stop it drops e and returns false. It may be called from any
// goroutine.
func (p *Pipeline) Emit(e Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	if p.held.Add(time.Now(), e) {
		p.arm()
	} else {
		p.out.Append(e)
	}
	return true
}

// due lets go what has been held for long enough.
func (p *Pipeline) due() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.append(p.held.Flush(time.Now()))
	p.arm()
}

// arm sets the timer to when something is due. The caller holds mu.
func (p *Pipeline) arm() {
	if at, ok := p.held.Deadline(); ok {
		p.flush.Reset(time.Until(at))
	}
}

// append adds events to the log. The caller holds mu.
func (p *Pipeline) append(events []Event) {
	for _, e := range events {
		p.out.Append(e)
	}
}

// Stop lets everything that was emitted, coalesced events included, go on into the log. It leaves the log open and may
// be called more than once.
func (p *Pipeline) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.flush.Stop()
	p.append(p.held.FlushAll())
}
