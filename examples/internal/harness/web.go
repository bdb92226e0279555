package harness

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Web is the smallest web service that tells who answered.
func Web(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from %s\n", name)
	})
}

// client opens a connection for each request, as many separate users would, so that each one is balanced anew and none is
// repeated behind our back.
var client = &http.Client{
	Timeout: 10 * time.Second,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	},
}

// Get returns the body of the page at http://addr/, or an error if the answer is not 200.
func Get(ctx context.Context, addr string) (string, error) { return GetPath(ctx, addr, "/") }

// GetPath returns the body of another page.
func GetPath(ctx context.Context, addr, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET http://%s%s: %s", addr, path, resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// Load is a client that asks a page again and again until it is stopped.
type Load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	total  atomic.Int64

	mu       sync.Mutex
	failures []error
	answers  map[string]int
}

// StartLoad asks http://addr/ with that many clients side by side, each pausing between two requests.
func StartLoad(addr string, clients int, pause time.Duration) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{cancel: cancel, answers: map[string]int{}}
	for range clients {
		l.wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				// Not ended by ctx: a request that was begun is answered, and counts.
				body, err := Get(context.Background(), addr)
				l.record(body, err)
			}
		})
	}
	return l
}

func (l *Load) record(body string, err error) {
	l.total.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failures = append(l.failures, err)
		return
	}
	l.answers[body]++
}

// Total returns how many requests were answered or failed so far.
func (l *Load) Total() int64 { return l.total.Load() }

// Answers returns how often each body came since the last call.
func (l *Load) Answers() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	answers := l.answers
	l.answers = map[string]int{}
	return answers
}

// AnsweredBy waits until answers come from these Web servers, from each and from no one else.
func (l *Load) AnsweredBy(ctx context.Context, names ...string) error {
	var want []string
	for _, name := range names {
		want = append(want, "hello from "+name)
	}
	return Eventually(ctx, func() error {
		l.Answers() // what came before is of no interest
		for from := l.Total(); l.Total() < from+40; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
		if got := slices.Sorted(maps.Keys(l.Answers())); !slices.Equal(got, want) {
			return fmt.Errorf("answers are %q, not yet %q", got, want)
		}
		return nil
	})
}

// Stop ends the load, waits for the requests under way, and returns those that failed.
func (l *Load) Stop() []error {
	l.cancel()
	l.wg.Wait()
	return l.failures
}
