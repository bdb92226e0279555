// Package again repeats a try until it succeeds or the time for it is over: the one loop behind all that the provider
// waits for. It knows neither agents nor Terraform.
package again

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Least is what a try gets, unless it needs more by its nature: on a slow machine an agent may take seconds to answer.
const Least = 10 * time.Second

// Error says that no try succeeded before the end.
type Error struct {
	Elapsed time.Duration
	Last    error // of the last try that came to an end by itself; nil if it just did not succeed
	Cause   error // context.DeadlineExceeded or context.Canceled
}

func (e *Error) Error() string {
	if e.Last == nil {
		return fmt.Sprintf("no success after %s", e.Elapsed)
	}
	return fmt.Sprintf("gave up after %s: %v", e.Elapsed, e.Last)
}

func (e *Error) Unwrap() []error { return []error{e.Cause, e.Last} }

// Until runs try, and again after each pause, until it returns true, or until ctx ends, which is an [*Error]. An error of
// try does not end it, unless the error has a method Permanent that says true; it is returned as it is then.
//
// The deadline of ctx decides whether another try is made. One under way when it comes has had least by then, or gets the
// rest of it: how often is tried depends on the time, and not whether the first try can tell anything.
func Until(ctx context.Context, pause, least time.Duration, try func(context.Context) (bool, error)) error {
	start := time.Now()
	var last error
	for {
		ok, cut, err := once(ctx, least, try)
		var final interface{ Permanent() bool }
		switch {
		case err == nil && ok:
			return nil
		case errors.As(err, &final) && final.Permanent():
			return err
		case err == nil || last == nil || !cut: // an error made by cutting the try off says less than the one before
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if ctx.Err() != nil {
			return &Error{Elapsed: time.Since(start), Last: last, Cause: ctx.Err()}
		}
	}
}

// once runs a try that no deadline cuts off before it had least. cut tells whether one did then, or an interruption.
func once(ctx context.Context, least time.Duration, try func(context.Context) (bool, error)) (ok, cut bool, err error) {
	deadline, bound := ctx.Deadline()
	if !bound {
		ok, err = try(ctx)
		return ok, ctx.Err() != nil, err
	}
	if enough := time.Now().Add(least); deadline.Before(enough) {
		deadline = enough
	}
	own, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	defer stop()
	ok, err = try(own)
	// What own bounds may notice the deadline a moment earlier.
	return ok, own.Err() != nil || !time.Now().Before(deadline), err
}
