package metrics_test

import (
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/metrics"
)

func TestWriteTo(t *testing.T) {
	t.Parallel()
	var r metrics.Registry
	up := r.Gauge("up", "Whether it is.")
	reloads := r.Counter("reloads_total", "Reloads.", "target", "result")
	r.Counter("unused_total", "Never counted.")
	took := r.Histogram("took_seconds", "How long.", []float64{0.1, 1})
	servers := r.Gauge("servers", "By state.", "service", "state")
	up.Set(1)
	reloads.Add(1, "haproxy/edge", "ok")
	reloads.Add(2, "haproxy/edge", "ok")
	reloads.Add(1, "a\"\\\n", "failed")
	for _, n := range []float64{0.05, 0.1, 0.5, 7} {
		took.Observe(n)
	}
	servers.Replace(map[string]float64{"active": 3, "gone": 1}, "web")
	servers.Replace(map[string]float64{"active": 5}, "web2")
	servers.Replace(map[string]float64{"active": 2}, "web")
	var b strings.Builder
	n, err := r.WriteTo(&b)
	want := `# HELP reloads_total Reloads.
# TYPE reloads_total counter
reloads_total{target="a\"\\\n",result="failed"} 1
reloads_total{target="haproxy/edge",result="ok"} 3
# HELP servers By state.
# TYPE servers gauge
servers{service="web",state="active"} 2
servers{service="web2",state="active"} 5
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 2
took_seconds_bucket{le="1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 7.65
took_seconds_count 4
# HELP up Whether it is.
# TYPE up gauge
up 1
`
	if b.String() != want || err != nil || n != int64(len(want)) {
		t.Errorf("got %d, %v\n%s", n, err, b.String())
	}
	if reloads.Value("haproxy/edge", "ok") != 3 || took.Value() != 4 || up.Value() != 1 || reloads.Value("x", "y") != 0 {
		t.Error("values are wrong")
	}

	r.Keep("service", []string{"web2"})
	r.Keep("target", nil)
	b.Reset()
	if _, err := r.WriteTo(&b); err != nil {
		t.Error(err)
	}
	if got := b.String(); strings.Contains(got, "reloads_total{") || strings.Contains(got, `"web"`) || !strings.Contains(got, `"web2"`) || !strings.Contains(got, "up 1") {
		t.Errorf("what is kept:\n%s", got)
	}
}
