package coordinate

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func at(height float64, vec ...float64) Coordinate {
	c := New()
	c.Height = height
	copy(c.Vec[:], vec)
	return c
}

func TestDistance(t *testing.T) {
	t.Parallel()
	adjusted := func(c Coordinate, by float64) Coordinate {
		c.Adjustment = by
		return c
	}
	const ms = 1e-3
	for name, tt := range map[string]struct {
		a, b Coordinate
		want time.Duration
	}{
		"the same place":            {at(0), at(0), 0},
		"a right triangle":          {at(0, 3*ms), at(0, 0, 4*ms), 5 * time.Millisecond},
		"heights count twice":       {at(1*ms, 3*ms), at(2*ms, 0, 4*ms), 8 * time.Millisecond},
		"two fresh nodes":           {New(), New(), 20 * time.Microsecond},
		"adjusted up":               {adjusted(at(0, 5*ms), 1*ms), adjusted(at(0), 2*ms), 8 * time.Millisecond},
		"adjusted down":             {adjusted(at(0, 5*ms), -1*ms), at(0), 4 * time.Millisecond},
		"never adjusted below 0":    {adjusted(at(0, 5*ms), -9*ms), at(0), 5 * time.Millisecond},
		"never adjusted to 0":       {adjusted(at(0, 5*ms), -5*ms), at(0), 5 * time.Millisecond},
		"truncated to ns":           {at(0, 1.9e-9), at(0), 1},
		"a claimed negative height": {at(-9, 1), at(0), 0},
		"too far for a duration":    {at(0, 1e200), at(0, -1e200), math.MaxInt64},
		"out of this world":         {at(0, 1e10), at(0), math.MaxInt64},
		"eight dimensions of one":   {at(0, 1, 1, 1, 1, 1, 1, 1, 1), at(0), time.Duration(math.Sqrt(8) * 1e9)},
	} {
		if got := tt.a.DistanceTo(tt.b); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if got := tt.b.DistanceTo(tt.a); got != tt.want {
			t.Errorf("%s, the other way: %v, want %v", name, got, tt.want)
		}
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	for name, tt := range map[string]struct {
		c, o   Coordinate
		force  float64
		vec    []float64
		height float64
	}{
		"away":                       {at(heightMin, 0, 0), at(heightMin, -1, 0), 2, []float64{2, 0}, heightMin + 2*heightMin*2},
		"towards, height at its min": {at(heightMin, 4, 0), at(heightMin, 0, 0), -1, []float64{3, 0}, heightMin},
		"height shrinks":             {at(0.010, 4, 0), at(0.010, 0, 0), -1, []float64{3, 0}, 0.005},
		"diagonal":                   {at(heightMin, 3, 4), at(heightMin), 5, []float64{6, 8}, 3 * heightMin},
	} {
		got := tt.c.push(tt.force, tt.o, rng(1))
		for i, want := range tt.vec {
			if !near(got.Vec[i], want) {
				t.Errorf("%s: vector %v, want %v", name, got.Vec, tt.vec)
				break
			}
		}
		if !near(got.Height, tt.height) {
			t.Errorf("%s: height %v, want %v", name, got.Height, tt.height)
		}
	}

	parted := at(heightMin, 1).push(0.5, at(heightMin, 1), rng(1))
	if d := magnitude(minus(parted.Vec, at(0, 1).Vec)); !near(d, 0.5) || parted.Height != heightMin {
		t.Errorf("two nodes in one place parted by %v, height %v; want 0.5 and no change of height", d, parted.Height)
	}
}

// TestOneUpdate checks the first step from the origin against the arithmetic done by hand.
func TestOneUpdate(t *testing.T) {
	t.Parallel()
	c := NewClient(rng(1))
	other := at(heightMin, 0.100)
	if err := c.Update("peer", other, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	// dist = 0.10002, weight = 1.5/3, force = 0.25 * 0.5 * (0.05 - 0.10002)
	dist, rtt := 0.10002, 0.05
	wrong := (dist - rtt) / rtt
	wantError := 0.25*0.5*wrong + 1.5*(1-0.25*0.5)
	force := 0.25 * 0.5 * (rtt - dist)
	wantX := -force // towards the peer
	got := c.Coordinate()
	if math.Abs(got.Error-wantError) > 1e-9 {
		t.Errorf("error %v, want %v", got.Error, wantError)
	}
	if math.Abs(got.Vec[0]-wantX) > 1e-6 { // gravity is some 1e-9
		t.Errorf("x %v, want %v", got.Vec[0], wantX)
	}
	wantAdjust := (rtt - (0.100 - wantX + got.Height + heightMin)) / (2 * adjustmentWindow)
	if math.Abs(got.Adjustment-wantAdjust) > 1e-9 {
		t.Errorf("adjustment %v, want %v", got.Adjustment, wantAdjust)
	}
}

func TestUpdateRejects(t *testing.T) {
	t.Parallel()
	nan, inf := New(), New()
	nan.Vec[3] = math.NaN()
	inf.Height = math.Inf(1)
	for _, tt := range []struct {
		other Coordinate
		rtt   time.Duration
		want  string
	}{
		{nan, 1, "coordinate is invalid"},
		{inf, 1, "coordinate is invalid"},
		{New(), -1, "round trip time not in valid range, duration -1ns is not a positive value less than 10s "},
		{New(), 10*time.Second + 1, "round trip time not in valid range, duration 10.000000001s is not a positive value less than 10s "},
	} {
		c := NewClient(rng(1))
		if err := c.Update("a", tt.other, tt.rtt); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %q", err, tt.want)
		}
		if c.Coordinate() != New() || len(c.latest) != 0 {
			t.Error("a rejected sample changed the client")
		}
	}
	for _, rtt := range []time.Duration{0, 1, 10 * time.Second} {
		if err := NewClient(rng(1)).Update("a", New(), rtt); err != nil {
			t.Errorf("rtt %v: %v", rtt, err)
		}
	}
}

func TestMedianFilter(t *testing.T) {
	t.Parallel()
	c := NewClient(rng(1))
	for i, tt := range []struct{ in, want float64 }{{0.2, 0.2}, {0.4, 0.4}, {0.3, 0.3}, {0.9, 0.4}, {0.1, 0.3}} {
		if got := c.median("a", tt.in); got != tt.want {
			t.Errorf("sample %d: median %v, want %v", i, got, tt.want)
		}
	}
	if got := c.median("b", 0.7); got != 0.7 {
		t.Errorf("another peer's median is %v", got)
	}
	c.Forget("a")
	if got := c.median("a", 0.8); got != 0.8 {
		t.Errorf("after Forget the median is %v", got)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	c := NewClient(rng(1))
	far := New()
	far.Height = math.MaxFloat64
	far.Adjustment = -math.MaxFloat64
	for range 100 {
		if err := c.Update("a", far, time.Second); err != nil {
			t.Fatal(err)
		}
		if !c.Coordinate().Valid() {
			t.Fatal("the coordinate is not valid after an update")
		}
	}
	if c.Resets() == 0 {
		t.Error("numbers beyond all bounds caused no reset")
	}
}

// TestConvergence lets nodes at random places, each with an access link of its own, measure each other. The
// estimates must come close to the truth whatever the seed.
func TestConvergence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			const nodes, rounds = 25, 600
			r := rng(seed)
			type site struct{ x, y, link float64 }
			sites := make([]site, nodes)
			clients := make([]*Client, nodes)
			for i := range sites {
				sites[i] = site{r.Float64() * 0.1, r.Float64() * 0.1, 0.001 + r.Float64()*0.004}
				clients[i] = NewClient(rng(seed*1000 + uint64(i)))
			}
			truth := func(i, j int) float64 {
				return math.Hypot(sites[i].x-sites[j].x, sites[i].y-sites[j].y) + sites[i].link + sites[j].link
			}
			for range rounds {
				for i := range nodes {
					j := r.IntN(nodes)
					if i == j {
						continue
					}
					jitter := 1 + 0.1*r.Float64()
					rtt := time.Duration(truth(i, j) * jitter * 1e9)
					if err := clients[i].Update(fmt.Sprint(j), clients[j].Coordinate(), rtt); err != nil {
						t.Fatal(err)
					}
				}
			}
			sum, n := 0.0, 0
			for i := range nodes {
				for j := range i {
					got := clients[i].Coordinate().DistanceTo(clients[j].Coordinate()).Seconds()
					sum += math.Abs(got-truth(i, j)) / truth(i, j)
					n++
				}
				if e := clients[i].Coordinate().Error; e > 0.5 {
					t.Errorf("node %d still has error %.2f", i, e)
				}
			}
			if mean := sum / float64(n); mean > 0.15 {
				t.Errorf("estimates are off by %.0f %% on average, want at most 15 %%", mean*100)
			}
		})
	}
}

// TestVector checks the layout of Serf reference section 7.
func TestVector(t *testing.T) {
	t.Parallel()
	c := Coordinate{Vec: [8]float64{1, 0, 0, 0, 0, 0, 0, -2}, Error: 1.5, Adjustment: 0.5, Height: 1e-5}
	want := "0184aa41646a7573746d656e74cb3fe0000000000000a54572726f72cb3ff8000000000000a6486569676874cb3ee4f8b588e368f1" +
		"a356656398cb3ff0000000000000" + strings.Repeat("cb0000000000000000", 6) + "cbc000000000000000"
	got := Encode(c)
	if hex.EncodeToString(got) != want || len(got) != 130 {
		t.Errorf("got  %x (%d bytes)\nwant %s", got, len(got), want)
	}
	back, err := Decode(got)
	if err != nil || back != c {
		t.Errorf("Decode = %+v, %v", back, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	good := Encode(New())
	for name, tt := range map[string]struct {
		payload []byte
		want    string
	}{
		"empty":        {nil, "empty"},
		"version":      {append([]byte{2}, good[1:]...), "Unsupported ping version: 2"},
		"nothing more": {[]byte{1}, "decode ping payload"},
		"cut short":    {good[:len(good)-1], "decode ping payload"},
		"no vector":    {[]byte{1, 0x80}, "dimensions aren't compatible"},
		"nil":          {[]byte{1, 0xc0}, "dimensions aren't compatible"},
		"text":         {[]byte("\x01\x81\xa3Vec\xa1x"), ""},
		"too long":     {append(good, make([]byte, 2000)...), "too long"},
		"huge array":   {[]byte("\x01\x81\xa3Vec\xdd\xff\xff\xff\xff"), "decode ping payload"},
	} {
		if _, err := Decode(tt.payload); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if c, err := Decode(append(good, 1, 2, 3)); err != nil || c != New() {
		t.Errorf("trailing bytes: %v, %v", c, err)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := NewCache("self", rng(1))
	if own, ok := c.Get("self"); !ok || own != New() {
		t.Errorf("Get(self) = %v, %v", own, ok)
	}
	if _, ok := c.Get("peer"); ok {
		t.Error("an unknown node has a coordinate")
	}
	peer := at(heightMin, 0.1)
	if err := c.PingComplete("peer", 50*time.Millisecond, Encode(peer)); err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Get("peer"); !ok || got != peer {
		t.Errorf("Get(peer) = %v, %v", got, ok)
	}
	if c.Self() == New() {
		t.Error("the own coordinate did not move")
	}
	if got, err := Decode(c.AckPayload()); err != nil || got != c.Self() {
		t.Errorf("AckPayload tells %v, %v", got, err)
	}
	if err := c.PingComplete("old", time.Millisecond, nil); err != nil {
		t.Errorf("a payload from a node without coordinates: %v", err)
	}
	var version *VersionError
	if err := c.PingComplete("new", time.Millisecond, []byte{9}); !errors.As(err, &version) || version.Version != 9 {
		t.Errorf("another version: %v", err)
	}
	if err := c.PingComplete("flat", time.Millisecond, []byte{1, 0x80}); !errors.Is(err, ErrDimensions) {
		t.Errorf("other dimensions: %v", err)
	}
	var rtt *RTTError
	if err := c.PingComplete("slow", time.Minute, Encode(peer)); !errors.As(err, &rtt) {
		t.Errorf("a round trip of a minute: %v", err)
	}
	if _, ok := c.Get("slow"); ok {
		t.Error("a rejected coordinate was kept")
	}
	c.Forget("peer")
	if _, ok := c.Get("peer"); ok || c.Resets() != 0 {
		t.Error("Forget left the peer, or there were resets")
	}
}

func TestCacheFromManyGoroutines(t *testing.T) {
	t.Parallel()
	c := NewCache("self", rng(1))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			name := fmt.Sprint(g)
			for range 100 {
				if err := c.PingComplete(name, time.Millisecond, c.AckPayload()); err != nil {
					t.Error(err)
				}
				c.Get(name)
				c.Get("self")
			}
			c.Forget(name)
		})
	}
	wg.Wait()
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(New()))
	f.Add(Encode(at(1, 1, 2, 3)))
	f.Add([]byte{1, 0x80})
	f.Add([]byte("\x01\x81\xa3Vec\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := NewCache("self", rng(1))
		err := c.PingComplete("peer", time.Millisecond, payload)
		if !c.Self().Valid() {
			t.Fatalf("the own coordinate became %v", c.Self())
		}
		if err != nil || len(payload) == 0 {
			return
		}
		peer, ok := c.Get("peer")
		if !ok {
			t.Fatal("an accepted coordinate was not kept")
		}
		if back, err := Decode(Encode(peer)); err != nil || back != peer {
			t.Fatalf("%v came back as %v, %v", peer, back, err)
		}
		if d := c.Self().DistanceTo(peer); d < 0 {
			t.Fatalf("distance %v", d)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	c := NewClient(rng(1))
	other := at(heightMin, 0.1)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Update("a", other, time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
}
