package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"time"

	"github.com/seed-645ce708/gossip/agent/internal/sim"
)

// curve is one line of a chart.
type curve struct {
	name   string
	colour string
	y      func(sim.Report) float64
}

// panel is one chart: cluster size to the right, logarithmic, and something, logarithmic too, upwards.
type panel struct {
	title  string
	curves []curve
}

func seconds(pick func(sim.Report) time.Duration) func(sim.Report) float64 {
	return func(r sim.Report) float64 { return pick(r).Seconds() }
}

var panels = []panel{
	{"seconds until all agents know", []curve{
		{name: "user event", colour: "#0a6", y: seconds(func(r sim.Report) time.Duration { return r.Event.All })},
		{name: "join", colour: "#06c", y: seconds(func(r sim.Report) time.Duration { return r.Join.All })},
		{name: "leave", colour: "#90c", y: seconds(func(r sim.Report) time.Duration { return r.Leave.All })},
		{name: "crash", colour: "#c30", y: seconds(func(r sim.Report) time.Duration { return r.Crash.All })},
	}},
	{"bytes", []curve{
		{name: "idle agent, a second", colour: "#06c", y: func(r sim.Report) float64 { return r.Idle.BytesPerSecond }},
		{name: "one event, an agent", colour: "#0a6", y: func(r sim.Report) float64 { return r.EventBytes }},
	}},
}

const (
	panelWidth, panelHeight = 500, 380
	marginLeft, marginTop   = 60, 40
	plotWidth, plotHeight   = 280, 290
)

// chart draws the results: one panel beside the other, Serf's timing dashed, ours in full.
func chart(results []result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		panelWidth*len(panels), panelHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", i*panelWidth+marginLeft, marginTop)
		p.draw(&b, results)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (p panel) draw(b *bytes.Buffer, results []result) {
	x := newAxis(plotWidth)
	y := newAxis(plotHeight)
	for _, r := range results {
		x.include(float64(r.Nodes))
		for _, c := range p.curves {
			y.include(c.y(r.Report))
		}
	}
	fmt.Fprintf(b, `<text x="0" y="-16" font-weight="bold">%s</text>`+"\n", html.EscapeString(p.title))
	for _, v := range x.decades() {
		fmt.Fprintf(b, `<line x1="%.1f" y1="0" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x.at(v), x.at(v), plotHeight, x.at(v), plotHeight+16, number(v))
	}
	for _, v := range y.decades() {
		fmt.Fprintf(b, `<line x1="0" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="-6" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotHeight-y.at(v), plotWidth, plotHeight-y.at(v), plotHeight-y.at(v)+4, number(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">agents</text>`+"\n", plotWidth/2, plotHeight+34)
	for row, c := range p.curves {
		for _, name := range []string{stockProfile, ourProfile} {
			dash := ""
			if name != ourProfile {
				dash = ` stroke-dasharray="5 4"`
			}
			var points bytes.Buffer
			for _, r := range results {
				if v := c.y(r.Report); r.Profile == name && v > 0 {
					fmt.Fprintf(&points, "%.1f,%.1f ", x.at(float64(r.Nodes)), plotHeight-y.at(v))
				}
			}
			fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", bytes.TrimSpace(points.Bytes()), c.colour, dash)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotWidth+8, 14+18*row, c.colour, html.EscapeString(c.name))
	}
	for i, name := range []string{ourProfile, stockProfile} {
		dash := ""
		if name != ourProfile {
			dash = ` stroke-dasharray="5 4"`
		}
		at := 14 + 18*(len(p.curves)+1+i)
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#333" stroke-width="2"%s/><text x="%d" y="%d">%s</text>`+"\n",
			plotWidth+8, at-4, plotWidth+38, at-4, dash, plotWidth+44, at, html.EscapeString(name))
	}
}

// axis maps values to lengths, logarithmically, from the decade below the smallest to the one above the largest.
type axis struct{ length, low, high float64 }

func newAxis(length float64) *axis { return &axis{length, math.Inf(1), math.Inf(-1)} }

func (a *axis) include(v float64) {
	if v > 0 {
		a.low, a.high = min(a.low, math.Floor(math.Log10(v))), max(a.high, math.Ceil(math.Log10(v)))
	}
}

func (a *axis) at(v float64) float64 {
	if a.high <= a.low {
		return 0
	}
	return (math.Log10(v) - a.low) / (a.high - a.low) * a.length
}

func (a *axis) decades() []float64 {
	var list []float64
	for e := a.low; e <= a.high; e++ {
		list = append(list, math.Pow(10, e))
	}
	return list
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%g k", v/1e3)
	default:
		return fmt.Sprintf("%g", v)
	}
}
