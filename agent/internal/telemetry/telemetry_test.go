package telemetry

import (
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-metrics"
)

// TestServers runs the whole on the real network; it owns go-metrics' global, so nothing runs beside it.
func TestServers(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("this host has no name:", err)
	}
	statsd, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer statsd.Close()
	statsite, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer statsite.Close()
	tel, err := Start(Config{
		StatsiteAddr: statsite.Addr().String(),
		StatsdAddr:   statsd.LocalAddr().String(),
		Dump:         io.Discard,
		Log:          hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	metrics.IncrCounter([]string{"serf", "events", "a b:c|d\n"}, 1)
	metrics.AddSample([]string{"agent", "invoke", "./x.sh"}, 2.5)
	metrics.SetGauge([]string{"depth"}, 3)
	conn, err := statsite.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	if err := errors.Join(conn.SetReadDeadline(deadline), statsd.SetReadDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	// until reads up to a name; both servers are connected once it has been there.
	packet := make([]byte, 65536)
	until := func(name string, got []byte, read func([]byte) (int, error)) []byte {
		for !strings.Contains(string(got), name) {
			n, err := read(packet)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got = append(got, packet[:n]...)
		}
		return got
	}
	fromStatsd := func(b []byte) (int, error) { n, _, err := statsd.ReadFrom(b); return n, err }
	tcp := until("depth", nil, conn.Read)
	udp := until("depth", nil, fromStatsd)
	metrics.IncrCounter([]string{"final"}, 1)
	tel.Stop()
	metrics.IncrCounter([]string{"late"}, 1) // must not panic
	tcp, udp = until("final", tcp, conn.Read), until("final", udp, fromStatsd)
	for what, got := range map[string]string{"statsite": string(tcp), "statsd": string(udp)} {
		for _, want := range []string{
			"serf-agent.serf.events.a_b_c_d_:1.000000|c\n",
			"serf-agent.agent.invoke../x.sh:2.500000|ms\n",
			"serf-agent." + host + ".depth:3.000000|g\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		if strings.Contains(got, "late") {
			t.Errorf("%s: a figure came after the end", what)
		}
	}
	if metrics.Default() == tel.metrics {
		t.Error("the global still leads to what was stopped")
	}
}

func TestBadAddress(t *testing.T) {
	for _, cfg := range []Config{{StatsdAddr: "localhost"}, {StatsiteAddr: "localhost"}} {
		cfg.Log = hclog.NewNullLogger()
		if _, err := Start(cfg); err == nil || !strings.Contains(err.Error(), "_addr") {
			t.Errorf("%+v: got %v", cfg, err)
		}
	}
}

// TestDump: completed buckets only, sorted, in Serf's form, for a minute.
func TestDump(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := metrics.NewInmemSink(bucket, retain)
		g := newGate(metrics.FanoutSink{memory})
		if got := dump(memory); len(got) != 0 {
			t.Errorf("before the first figure: %q", got)
		}
		for range 5 {
			g.IncrCounter([]string{"serf-agent", "serf", "events", "x y"}, 1)
		}
		g.AddSample([]string{"serf-agent", "b"}, 1)
		g.AddSample([]string{"serf-agent", "b"}, 3)
		g.AddSample([]string{"serf-agent", "a"}, 1)
		g.SetGauge([]string{"serf-agent", "runtime", "heap_objects"}, 4924)
		g.EmitKey([]string{"serf-agent", "kv"}, 0.5)
		if got := dump(memory); len(got) != 0 {
			t.Errorf("while the bucket fills: %q", got)
		}
		time.Sleep(bucket)
		lines := strings.SplitAfter(string(dump(memory)), "\n")
		stamp := `^\[2000-01-01 00:00:00 \+0000 UTC\]`
		for i, want := range []string{
			stamp + `\[G\] 'serf-agent\.runtime\.heap_objects': 4924\.000\n$`,
			stamp + `\[P\] 'serf-agent\.kv': 0\.500\n$`,
			stamp + `\[C\] 'serf-agent\.serf\.events\.x_y': Count: 5 Sum: 5\.000 LastUpdated: .*\n$`,
			stamp + `\[S\] 'serf-agent\.a': Count: 1 Sum: 1\.000 .*\n$`,
			stamp + `\[S\] 'serf-agent\.b': Count: 2 Min: 1\.000 Mean: 2\.000 Max: 3\.000 Stddev: 1\.414 Sum: 4\.000 .*\n$`,
			`^$`,
		} {
			if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
				t.Fatalf("line %d of %q does not match %s", i, lines, want)
			}
		}
		for range 20 { // two hundred seconds with a figure each bucket
			time.Sleep(bucket)
			g.SetGauge([]string{"g"}, 1)
		}
		if n := strings.Count(string(dump(memory)), "\n"); n != 5 {
			t.Errorf("%d completed buckets are kept, want those of a minute less the one that fills", n)
		}
	})
}

func TestGateBoundsNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := metrics.NewInmemSink(bucket, retain)
		g := newGate(metrics.FanoutSink{memory})
		fill := func(n int) (names int, dropped float64) {
			for i := range n {
				g.IncrCounter([]string{"e", string(rune('一' + i))}, 1)
			}
			data := memory.Data()
			in := data[len(data)-1]
			if c, ok := in.Counters["serf-agent.telemetry.dropped"]; ok {
				return len(in.Counters) - 1, c.Sum
			}
			return len(in.Counters), 0
		}
		if names, dropped := fill(maxNames); names != maxNames || dropped != 0 {
			t.Errorf("full: %d names, %v dropped", names, dropped)
		}
		if names, dropped := fill(maxNames + 7); names != maxNames || dropped != 7 {
			t.Errorf("too many: %d names, %v dropped; those that are known must still count", names, dropped)
		}
		time.Sleep(bucket)
		if names, dropped := fill(3); names != 3 || dropped != 0 {
			t.Errorf("next bucket: %d names, %v dropped", names, dropped)
		}
	})
}

func TestGateCleansNames(t *testing.T) {
	t.Parallel()
	memory := metrics.NewInmemSink(bucket, retain)
	g := newGate(metrics.FanoutSink{memory})
	key := []string{"a", "b\nc", "d\x1b[1m", "\xff"}
	g.SetGauge(key, 1)
	if key[1] != "b\nc" {
		t.Error("the caller's key was changed")
	}
	data := memory.Data()
	if _, ok := data[len(data)-1].Gauges["a.b_c.d_[1m._"]; !ok {
		t.Errorf("got %v", data[len(data)-1].Gauges)
	}
}
