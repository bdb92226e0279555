package event

import (
	"sync"
	"sync/atomic"
	"time"
)

// DefaultPipelineSize is how many events may wait for a Pipeline unless told otherwise. Its goroutine never
// waits for anybody, so more than a few wait only if the process gets no processor time.
const DefaultPipelineSize = 4096

// Pipeline is the way from the core to those who read events: a bounded queue, the coalescers, and the log.
// Emit never waits. If the queue is full the new event is dropped and counted.
type Pipeline struct {
	out     *Log
	in      chan Event
	dropped atomic.Uint64

	mu      sync.Mutex // guards stopped, so that nothing is sent on a closed channel
	stopped bool
	done    chan struct{}
}

// PipelineConfig sets up a Pipeline.
type PipelineConfig struct {
	Out      *Log // where events go
	Coalesce CoalesceConfig
	Size     int // events that may wait; 0 or less means DefaultPipelineSize
}

// StartPipeline starts the pipeline's goroutine. Stop ends it.
func StartPipeline(cfg PipelineConfig) *Pipeline {
	if cfg.Size <= 0 {
		cfg.Size = DefaultPipelineSize
	}
	p := &Pipeline{out: cfg.Out, in: make(chan Event, cfg.Size), done: make(chan struct{})}
	go p.run(NewCoalescer(cfg.Coalesce))
	return p
}

// Emit hands e on, or drops it if the queue is full or the pipeline was stopped, and reports which. It never
// waits and may be called from any goroutine.
func (p *Pipeline) Emit(e Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	select {
	case p.in <- e:
		return true
	default:
		p.dropped.Add(1)
		return false
	}
}

// Dropped returns how many events found the queue full.
func (p *Pipeline) Dropped() uint64 { return p.dropped.Load() }

// Stop lets everything that was emitted, coalesced events included, go on into the log, and waits until it
// is there. It leaves the log open and may be called more than once.
func (p *Pipeline) Stop() {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		close(p.in)
	}
	p.mu.Unlock()
	<-p.done
}

func (p *Pipeline) run(c *Coalescer) {
	defer close(p.done)
	flush := time.NewTimer(time.Hour)
	defer flush.Stop()
	for {
		var due <-chan time.Time
		if at, ok := c.Deadline(); ok {
			flush.Reset(time.Until(at))
			due = flush.C
		}
		select {
		case e, ok := <-p.in:
			if !ok {
				p.append(c.FlushAll())
				return
			}
			if !c.Add(time.Now(), e) {
				p.out.Append(e)
			}
		case <-due:
			p.append(c.Flush(time.Now()))
		}
	}
}

func (p *Pipeline) append(events []Event) {
	for _, e := range events {
		p.out.Append(e)
	}
}
