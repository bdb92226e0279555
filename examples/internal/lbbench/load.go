package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// clients is how many ask side by side.
const clients = 20

// load is what clients saw that asked at a steady rate.
type load struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	failed map[string]int // by cause
}

// startLoad has clients make so many requests a second. Of each two clients one keeps its connection, unless kept is
// false. They make one attempt: requests are POST, which neither Go nor a balancer makes again once it was sent.
func startLoad(addr string, perSecond int, kept bool) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel, failed: map[string]int{}}
	pause := time.Second * clients / time.Duration(perSecond)
	for i := range clients {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: !kept || i%2 == 0}}
		l.wg.Go(func() {
			defer client.CloseIdleConnections()
			begin := time.NewTimer(pause * time.Duration(i) / clients) // evenly
			defer begin.Stop()
			select {
			case <-ctx.Done():
				return
			case <-begin.C:
			}
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				l.ask(client, addr)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	return l
}

// ask makes one request.
func (l *load) ask(client *http.Client, addr string) {
	start := time.Now()
	resp, err := client.Post("http://"+addr+"/", "text/plain", strings.NewReader("x"))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close() // it was read
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, time.Since(start))
	if err != nil {
		cause := err.Error()
		l.failed[cause[strings.LastIndex(cause, ": ")+1:]]++
	}
}

// seen is what the clients saw in all.
type seen struct {
	requests, failed int
	causes           map[string]int
	p99, worst       time.Duration
}

// end stops the clients and waits for what is under way.
func (l *load) end() seen {
	l.stop()
	l.wg.Wait()
	s := seen{requests: len(l.took), causes: l.failed}
	for _, n := range l.failed {
		s.failed += n
	}
	if len(l.took) > 0 {
		slices.Sort(l.took)
		s.p99, s.worst = l.took[len(l.took)*99/100], l.took[len(l.took)-1]
	}
	return s
}
