package again

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errReset = errors.New("reset")

type finalError struct{ error }

func (finalError) Permanent() bool { return true }

func TestUntil(t *testing.T) {
	t.Parallel()
	refusal := finalError{errors.New("wrong token")}
	// takes is a try of that length, unless it is cut off.
	takes := func(d time.Duration, ok bool, err error) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(d):
				return ok, err
			}
		}
	}
	type try = func(context.Context) (bool, error)
	tests := map[string]struct {
		within      time.Duration // 0 means without a deadline
		interrupt   time.Duration // 0 means never
		tries       []try         // the last one stays
		after       time.Duration
		cause, last error // both nil: it succeeds
	}{
		"at once":                           {within: time.Minute, tries: []try{takes(0, true, nil)}},
		"without a deadline":                {tries: []try{takes(0, false, errReset), takes(0, true, nil)}, after: time.Second},
		"third time":                        {within: time.Minute, tries: []try{takes(0, false, nil), takes(0, false, errReset), takes(0, true, nil)}, after: 2 * time.Second},
		"never":                             {within: 10 * time.Second, tries: []try{takes(0, false, nil)}, after: 10 * time.Second, cause: context.DeadlineExceeded},
		"the last error counts":             {within: 10 * time.Second, tries: []try{takes(0, false, nil), takes(0, false, errReset)}, after: 10 * time.Second, cause: context.DeadlineExceeded, last: errReset},
		"an error that was got over":        {within: 10 * time.Second, tries: []try{takes(0, false, errReset), takes(0, false, nil)}, after: 10 * time.Second, cause: context.DeadlineExceeded},
		"permanent":                         {within: 10 * time.Second, tries: []try{takes(0, false, refusal)}, cause: refusal},
		"slower than the whole":             {within: time.Millisecond, tries: []try{takes(5*time.Second, true, nil)}, after: 5 * time.Second},
		"slower, and fails":                 {within: time.Millisecond, tries: []try{takes(5*time.Second, false, errReset)}, after: 5 * time.Second, cause: context.DeadlineExceeded, last: errReset},
		"hangs":                             {within: time.Minute, tries: []try{takes(time.Hour, true, nil)}, after: time.Minute, cause: context.DeadlineExceeded, last: context.DeadlineExceeded},
		"hangs later":                       {within: time.Minute, tries: []try{takes(0, false, errReset), takes(time.Hour, true, nil)}, after: time.Minute, cause: context.DeadlineExceeded, last: errReset},
		"begins late":                       {within: 10 * time.Second, tries: []try{takes(8*time.Second, false, nil), takes(5*time.Second, true, nil)}, after: 14 * time.Second},
		"interrupted":                       {within: time.Minute, interrupt: 3 * time.Second, tries: []try{takes(time.Hour, true, nil)}, after: 3 * time.Second, cause: context.Canceled, last: context.Canceled},
		"interrupted between":               {within: time.Minute, interrupt: 1500 * time.Millisecond, tries: []try{takes(0, false, errReset)}, after: 1500 * time.Millisecond, cause: context.Canceled, last: errReset},
		"interrupted without a deadline":    {interrupt: 3 * time.Second, tries: []try{takes(time.Hour, true, nil)}, after: 3 * time.Second, cause: context.Canceled, last: context.Canceled},
		"a pause that reaches over the end": {within: 1500 * time.Millisecond, tries: []try{takes(0, false, nil), takes(0, false, nil), takes(0, true, nil)}, after: 1500 * time.Millisecond, cause: context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.interrupt > 0 {
					time.AfterFunc(tt.interrupt, cancel)
				}
				if tt.within > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.within)
					defer cancel()
				}
				start, n := time.Now(), 0
				err := Until(ctx, time.Second, 6*time.Second, func(ctx context.Context) (bool, error) {
					try := tt.tries[min(n, len(tt.tries)-1)]
					n++
					return try(ctx)
				})
				if time.Since(start) != tt.after {
					t.Errorf("it ended after %s, want %s", time.Since(start), tt.after)
				}
				if !errors.Is(err, tt.cause) {
					t.Errorf("error is %v, want %v", err, tt.cause)
				}
				var end *Error
				if errors.As(err, &end) && (!errors.Is(end.Last, tt.last) || end.Elapsed != tt.after) {
					t.Errorf("the end is %+v, want the last error %v after %s", end, tt.last, tt.after)
				}
			})
		})
	}
}
