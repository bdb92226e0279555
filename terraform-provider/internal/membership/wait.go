package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/again"
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
// that says true. It ends with a [*WaitError] when ctx does, though a look under way gets [again.Least].
func (w Wait) Until(ctx context.Context, look func(context.Context) (View, error), guard Guard, filter Filter) (View, []Member, error) {
	poll := w.Poll
	if poll <= 0 {
		poll = DefaultPoll
	}
	var (
		met    View
		last   = WaitError{Want: w}
		digest string
		since  time.Time // since when the selection has been met and looked like digest
	)
	err := again.Until(ctx, poll, again.Least, func(ctx context.Context) (bool, error) {
		view, err := look(ctx)
		if err == nil {
			met, last.Selected, last.Seen = view, filter.Select(view.Members), view.Members
			err = guard.Check(view)
		}
		if err != nil || int64(len(last.Selected)) < w.Min {
			digest = ""
			return false, err
		}
		if d := Digest(last.Selected); d != digest {
			digest, since = d, time.Now()
		}
		return time.Since(since) >= w.StableFor, nil
	})
	var end *again.Error
	switch {
	case err == nil:
		return met, last.Selected, nil
	case errors.As(err, &end):
		last.Elapsed, last.LastError, last.Cause = end.Elapsed, end.Last, end.Cause
		return View{}, nil, &last
	default:
		return View{}, nil, err
	}
}

// Until looks again and again, every poll, until a view satisfies, and returns the last reason why not when ctx ends.
func Until(ctx context.Context, poll time.Duration, look func(context.Context) (View, error), satisfies func(View) error) error {
	return again.Until(ctx, poll, again.Least, func(ctx context.Context) (bool, error) {
		view, err := look(ctx)
		if err == nil {
			err = satisfies(view)
		}
		return err == nil, err
	})
}
