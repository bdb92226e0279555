package guard

import (
	"math"
	"time"
)

// Window limits how many may be removed because they failed in a span of time: at most Ratio of the size
// that the set had when the window began, rounded up. A window begins with the first removal after the last
// one ended. Members that leave are not counted. The zero value limits nothing.
type Window struct {
	Length time.Duration // of each window
	Ratio  float64       // above 0 up to 1; 0 and below means no limit, as does 1 in effect

	spent Spent
}

// Spent is what the running window has seen: what to keep for another process to go on from. The zero value is no window.
type Spent struct {
	Begin   time.Time `json:"begin"`
	Size    int       `json:"size"`    // of the set when it began
	Removed int       `json:"removed"` // since
}

// Budget returns how many more may be removed now from a set of the size, or -1 for any number.
func (w *Window) Budget(now time.Time, size int) int {
	if w.Ratio <= 0 {
		return -1
	}
	if w.over(now) {
		return w.limit(size)
	}
	return max(0, w.limit(w.spent.Size)-w.spent.Removed)
}

// Spend records that n were removed because they failed from a set that had the size before.
func (w *Window) Spend(now time.Time, size, n int) {
	if n <= 0 {
		return
	}
	if w.over(now) {
		w.spent = Spent{Begin: now, Size: size}
	}
	w.spent.Removed += n
}

// Spent returns what the running window has seen, or the last one.
func (w *Window) Spent() Spent { return w.spent }

// Resume goes on with a window that was begun earlier, maybe by another process. One that lies in the future by the clock at hand
// is none.
func (w *Window) Resume(s Spent) { w.spent = s }

// Ends returns when the running window ends; it is in the past if none is running.
func (w *Window) Ends() time.Time { return w.spent.Begin.Add(w.Length) }

func (w *Window) over(now time.Time) bool {
	return w.spent.Begin.IsZero() || now.Before(w.spent.Begin) || !now.Before(w.Ends())
}

func (w *Window) limit(size int) int { return int(math.Ceil(w.Ratio * float64(size))) }
