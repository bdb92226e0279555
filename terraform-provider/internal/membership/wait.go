package membership

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultPoll is how often a wait looks again unless told otherwise.
const DefaultPoll = 500 * time.Millisecond

// Wait says what a selection must look like before it is used.
type Wait struct {
	Min       int64         // fewest selected members
	StableFor time.Duration // for how long the selection must not have changed; 0 means not at all
	Poll      time.Duration // time between two looks; 0 means DefaultPoll
}

// WaitError says that a wait was not met in time.
type WaitError struct {
	Want      Wait
	Selected  []Member // at the last look
	Seen      []Member // all members at the last look
	Elapsed   time.Duration
	LastError error // of the last look, if it failed or the guard refused it
	Cause     error // why the wait ended: context.DeadlineExceeded or context.Canceled
}

func (e *WaitError) Error() string {
	elapsed := e.Elapsed.Round(100 * time.Millisecond)
	switch {
	case errors.Is(e.Cause, context.Canceled):
		return fmt.Sprintf("interrupted after %s while waiting for members", elapsed)
	case e.LastError != nil:
		return fmt.Sprintf("gave up after %s: %v", elapsed, e.LastError)
	case int64(len(e.Selected)) < e.Want.Min:
		return fmt.Sprintf("%d of %d members after %s; selected: %s; the agent sees: %s",
			len(e.Selected), e.Want.Min, elapsed, Summary(e.Selected), Summary(e.Seen))
	default:
		return fmt.Sprintf("the selection did not stay the same for %s within %s; selected at the end: %s",
			e.Want.StableFor, elapsed, Summary(e.Selected))
	}
}

func (e *WaitError) Unwrap() []error { return []error{e.Cause, e.LastError} }

// Until looks again and again until the selection of filter is as w wants it and guard accepts the view, and
// returns that view and selection. A look that fails is tried again, unless its error has a method Permanent
// that says true. It ends with a [*WaitError] when ctx does.
func (w Wait) Until(ctx context.Context, look func(context.Context) (View, error), guard Guard, filter Filter) (View, []Member, error) {
	poll := w.Poll
	if poll <= 0 {
		poll = DefaultPoll
	}
	start := time.Now()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()

	var (
		last   = WaitError{Want: w}
		digest string
		since  time.Time // since when the selection has been met and looked like digest
	)
	for {
		view, err := look(ctx)
		var final interface{ Permanent() bool }
		if errors.As(err, &final) && final.Permanent() {
			return View{}, nil, err
		}
		if err == nil || !over(ctx) { // an error made by the end of ctx itself says nothing new
			last.LastError = err
		}
		if err == nil {
			last.Selected, last.Seen = filter.Select(view.Members), view.Members
			last.LastError = guard.Check(view)
		}
		switch {
		case last.LastError != nil || err != nil || int64(len(last.Selected)) < w.Min:
			digest = ""
		default:
			if d := Digest(last.Selected); d != digest {
				digest, since = d, time.Now()
			}
			if time.Since(since) >= w.StableFor {
				return view, last.Selected, nil
			}
		}
		select {
		case <-ctx.Done():
			last.Cause, last.Elapsed = ctx.Err(), time.Since(start)
			return View{}, nil, &last
		case <-ticker.C:
		}
	}
}

// over reports whether ctx has ended, or is about to: what it bounds may notice its deadline a moment earlier.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// Until looks again and again, every poll, until a view satisfies, and returns the last reason why not when ctx ends.
func Until(ctx context.Context, poll time.Duration, look func(context.Context) (View, error), satisfies func(View) error) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var last error
	for {
		view, err := look(ctx)
		if err == nil {
			err = satisfies(view)
		}
		if err == nil {
			return nil
		}
		if last == nil || !over(ctx) { // as above
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-ticker.C:
		}
	}
}
