package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report collects what was measured, by test and kind of agent.
type report struct{ rows []row }

type row struct {
	what, unit string
	agents     int
	values     map[string][]float64 // by label
}

// add adds a value; unit "ms" is for times.
func (r *report) add(c *cluster, what, unit string, value float64) {
	i := slices.IndexFunc(r.rows, func(row row) bool { return row.what == what && row.agents == len(c.agents) })
	if i < 0 {
		i = len(r.rows)
		r.rows = append(r.rows, row{what, unit, len(c.agents), map[string][]float64{}})
	}
	r.rows[i].values[c.kind.label] = append(r.rows[i].values[c.kind.label], value)
}

func (r *report) time(c *cluster, what string, d time.Duration) {
	r.add(c, what, "ms", float64(d)/float64(time.Millisecond))
}

// print writes a table: median and, of several values, the 99th percentile and the largest.
func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "agents\twhat\tunit\tgossip: median\tp99\tmax\tserf: median\tp99\tmax\tserf/gossip")
	for _, row := range r.rows {
		fmt.Fprintf(w, "%d\t%s\t%s", row.agents, row.what, row.unit)
		for _, label := range []string{"gossip", "serf"} {
			v := row.values[label]
			if len(v) == 0 {
				fmt.Fprint(w, "\t-\t-\t-")
				continue
			}
			fmt.Fprintf(w, "\t%.4g\t%.4g\t%.4g", quantile(v, 0.5), quantile(v, 0.99), quantile(v, 1))
		}
		if a, b := row.values["gossip"], row.values["serf"]; len(a) > 0 && len(b) > 0 && quantile(a, 0.5) > 0 {
			fmt.Fprintf(w, "\t%.2f\n", quantile(b, 0.5)/quantile(a, 0.5))
		} else {
			fmt.Fprint(w, "\t-\n")
		}
	}
	return w.Flush()
}

// quantile returns the value below which the given share of v lies; v is not empty.
func quantile(v []float64, share float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[min(int(share*float64(len(s))), len(s)-1)]
}
