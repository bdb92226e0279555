package membership

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers each look with the next view; the last one stays.
func script(views ...func() (View, error)) func(context.Context) (View, error) {
	n := 0
	return func(context.Context) (View, error) {
		view := views[min(n, len(views)-1)]
		n++
		return view()
	}
}

func sees(names ...string) func() (View, error) {
	v := View{Observer: "me"}
	for _, name := range names {
		v.Members = append(v.Members, member(name, Alive, nil))
	}
	return func() (View, error) { return v, nil }
}

func fails(err error) func() (View, error) { return func() (View, error) { return View{}, err } }

type finalError struct{ error }

func (finalError) Permanent() bool { return true }

func TestUntilMet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		wait  Wait
		looks []func() (View, error)
		after time.Duration
	}{
		"at once":         {Wait{Min: 1}, []func() (View, error){sees("me")}, 0},
		"late":            {Wait{Min: 2}, []func() (View, error){sees("me"), sees("me"), sees("me", "n2")}, time.Second},
		"stable":          {Wait{StableFor: time.Second}, []func() (View, error){sees("me")}, time.Second},
		"flapping":        {Wait{StableFor: time.Second}, []func() (View, error){sees("a"), sees("b"), sees("a")}, 2 * time.Second},
		"other poll":      {Wait{Min: 2, Poll: 10 * time.Millisecond}, []func() (View, error){sees("me"), sees("me", "n2")}, 10 * time.Millisecond},
		"after an error":  {Wait{}, []func() (View, error){fails(errors.New("reset")), sees("me")}, 500 * time.Millisecond},
		"error unsettles": {Wait{StableFor: time.Second}, []func() (View, error){sees("a"), fails(errors.New("reset")), sees("a")}, 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, _, err := tt.wait.Until(ctx, script(tt.looks...), Guard{}, Filter{})
				if err != nil || time.Since(start) != tt.after {
					t.Errorf("ended after %s with %v, want %s and no error", time.Since(start), err, tt.after)
				}
			})
		})
	}
}

func TestUntilNotMet(t *testing.T) {
	t.Parallel()
	isolated := func() (View, error) {
		return View{Observer: "me", Members: []Member{member("me", Alive, nil), member("n2", Failed, nil)}}, nil
	}
	tests := map[string]struct {
		wait  Wait
		guard Guard
		look  func() (View, error)
		want  string
	}{
		"too few":     {Wait{Min: 3}, Guard{}, sees("me", "n2"), "2 of 3 members after 10s; selected: me (alive), n2 (alive)"},
		"unstable":    {Wait{StableFor: time.Minute}, Guard{}, sees("me"), "did not stay the same for 1m0s within 10s"},
		"unreachable": {Wait{}, Guard{}, fails(errors.New("connection refused")), "gave up after 10s: connection refused"},
		"guard":       {Wait{}, Guard{RefuseIsolated: true}, isolated, "me sees every other member as failed"},
		"min_alive":   {Wait{}, Guard{MinAlive: 2}, isolated, "me sees 1 alive members, and guard.min_alive asks for 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, _, err := tt.wait.Until(ctx, script(tt.look), tt.guard, Filter{})
				var wait *WaitError
				if !errors.As(err, &wait) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error is %v, want a WaitError that says %q", err, tt.want)
				}
			})
		})
	}
}

func TestUntilInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		_, _, err := Wait{Min: 2}.Until(ctx, script(sees("me")), Guard{}, Filter{})
		if err == nil || !strings.HasPrefix(err.Error(), "interrupted after 3s") || time.Since(start) != 3*time.Second {
			t.Errorf("ended after %s with %v, want an interruption after 3s", time.Since(start), err)
		}
	})
}

func TestUntilGivesUpOnWhatWillNotChange(t *testing.T) {
	t.Parallel()
	refusal := finalError{errors.New("wrong token")}
	_, _, err := Wait{Min: 2}.Until(t.Context(), script(fails(refusal)), Guard{}, Filter{})
	if !errors.Is(err, refusal) {
		t.Errorf("error is %v, want %v", err, refusal)
	}
}
