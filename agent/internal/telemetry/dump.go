package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"

	"github.com/hashicorp/go-metrics"
)

// dumpOnSignal writes the figures out whenever the signal arrives, until Stop.
func (t *Telemetry) dumpOnSignal(w io.Writer) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, metrics.DefaultSignal)
	defer signal.Stop(signals)
	for {
		select {
		case <-signals:
			_, _ = w.Write(dump(t.memory)) // there is nowhere to report that standard error is gone
		case <-t.stop:
			return
		}
	}
}

// dump returns all completed buckets, oldest first, each sorted by kind and name, in Serf's form.
func dump(memory *metrics.InmemSink) []byte {
	var b bytes.Buffer
	buckets := memory.Data()
	for _, in := range buckets[:len(buckets)-1] {
		in.RLock()
		line := func(kind, name string, value any) {
			fmt.Fprintf(&b, "[%v][%s] '%s': %v\n", in.Interval, kind, name, value)
		}
		for _, key := range slices.Sorted(maps.Keys(in.Gauges)) {
			line("G", key, fmt.Sprintf("%0.3f", in.Gauges[key].Value))
		}
		for _, key := range slices.Sorted(maps.Keys(in.Points)) {
			for _, value := range in.Points[key] {
				line("P", key, fmt.Sprintf("%0.3f", value))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(in.Counters)) {
			line("C", key, in.Counters[key].AggregateSample)
		}
		for _, key := range slices.Sorted(maps.Keys(in.Samples)) {
			line("S", key, in.Samples[key].AggregateSample)
		}
		in.RUnlock()
	}
	return b.Bytes()
}
