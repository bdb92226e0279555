package target_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-645ce708/gossip/lbsync/internal/adapter"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
	"github.com/seed-645ce708/gossip/lbsync/internal/generic"
	"github.com/seed-645ce708/gossip/lbsync/internal/record"
	"github.com/seed-645ce708/gossip/lbsync/internal/reload"
	"github.com/seed-645ce708/gossip/lbsync/internal/target"
)

// driver is a balancer that does as it is told and notes what it was asked.
type driver struct {
	generic.Adapter
	dest     string
	text     string // what Render returns
	render   error
	check    error
	whole    error
	reload   error
	silent   bool     // there is nothing to reload
	atWhole  func()   // called by CheckInstalled if set
	log      []string // with what the file held at the time
	loadedAs string
}

func (d *driver) note(what string) {
	data, err := os.ReadFile(d.dest)
	if err != nil {
		data = []byte("-")
	}
	d.log = append(d.log, what+":"+string(data))
}

func (d *driver) Traits() adapter.Traits { return adapter.Traits{Reloads: !d.silent} }

func (d *driver) Render(adapter.Pools) (adapter.Rendered, error) {
	return adapter.Rendered{Files: [][]byte{[]byte(d.text)}}, d.render
}

func (d *driver) Check(_ context.Context, paths []string, _ adapter.Cause) error {
	data, err := os.ReadFile(paths[0])
	if err != nil || string(data) != d.text {
		return errors.Join(fmt.Errorf("the candidate is %q", data), err)
	}
	d.note("check")
	return d.check
}

func (d *driver) CheckInstalled(context.Context, adapter.Cause) error {
	d.note("whole")
	if d.atWhole != nil {
		d.atWhole()
	}
	return d.whole
}

func (d *driver) Reload(context.Context, adapter.Cause) error {
	d.note("reload")
	if d.reload == nil {
		d.loadedAs = d.text
	}
	return d.reload
}

type fixture struct {
	*target.Target
	res    target.Result // of the last pass
	err    error
	driver *driver
	store  *record.Store
	dest   string
}

// leave allows every reload.
func leave(context.Context, target.Need) (func(error), error) { return func(error) {}, nil }

// folder returns the path of a file that is not there yet, and a state folder.
func folder(t *testing.T) (dest string, store *record.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := record.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // the folder goes anyway
	return filepath.Join(dir, "f"), store
}

func newFixture(t *testing.T, change func(*config.Target)) *fixture {
	t.Helper()
	dest, store := folder(t)
	cfg := config.Target{Kind: "haproxy", Name: "edge", Files: []config.File{{Dest: dest}}}
	if change != nil {
		change(&cfg)
	}
	d := &driver{dest: cfg.Files[0].Dest, text: "one"}
	return &fixture{Target: target.New(cfg, d, store), driver: d, store: store, dest: cfg.Files[0].Dest}
}

// apply makes a pass and checks what the driver saw and what the file holds after.
func (f *fixture) apply(t *testing.T, log, file string, stage target.Stage) {
	t.Helper()
	f.driver.log = nil
	f.res, f.err = f.Apply(context.Background(), adapter.Pools{}, leave)
	err := f.err
	if got := strings.Join(f.driver.log, " "); got != log {
		t.Errorf("driver saw %q, want %q", got, log)
	}
	data, readErr := os.ReadFile(f.dest)
	if readErr != nil {
		data = []byte("-")
	}
	if string(data) != file {
		t.Errorf("file holds %q, want %q", data, file)
	}
	var failure *target.Error
	got := target.Stage("")
	if errors.As(err, &failure) {
		got = failure.Stage
	}
	if got != stage || (err != nil) != (stage != "") {
		t.Errorf("error %v, want one of stage %q", err, stage)
	}
	entries, dirErr := os.ReadDir(filepath.Dir(f.dest))
	if dirErr != nil || len(entries) > 2 {
		t.Errorf("something was left behind: %v, %v", entries, dirErr)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.apply(t, "check:- whole:one reload:one", "one", "")
	if !f.res.Wrote || !f.res.Reloaded {
		t.Errorf("got %+v", f.res)
	}
	f.apply(t, "", "one", "") // nothing to do
	if f.res.Wrote || f.res.Reloaded {
		t.Errorf("got %+v", f.res)
	}
	f.driver.text = "two"
	f.apply(t, "check:one whole:two reload:two", "two", "")
}

func TestFailuresKeepWhatWorked(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		fail  func(*driver)
		log   string
		stage target.Stage
	}{
		"render": {func(d *driver) { d.render = boom }, "", target.StageRender},
		"check":  {func(d *driver) { d.check = boom }, "check:one", target.StageCheck},
		"whole":  {func(d *driver) { d.whole = boom }, "check:one whole:two whole:one", target.StageCheck},
		"reload": {func(d *driver) { d.reload = boom }, "check:one whole:two reload:two", target.StageReload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			f.apply(t, "check:- whole:one reload:one", "one", "")
			f.driver.text = "two"
			tt.fail(f.driver)
			for range 2 { // and again: it is never forgotten
				f.apply(t, tt.log, "one", tt.stage)
				if !errors.Is(f.err, boom) {
					t.Errorf("the cause is lost: %v", f.err)
				}
			}
			*f.driver = driver{dest: f.dest, text: "two"}
			f.apply(t, "check:one whole:two reload:two", "two", "")
			if f.driver.loadedAs != "two" {
				t.Error("not loaded")
			}
		})
	}
}

// TestFirstFileRefused: without an old file there is nothing to put back but its absence.
func TestFirstFileRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.driver.whole = errors.New("boom")
	f.apply(t, "check:- whole:one", "-", target.StageCheck)
}

// TestDoubtfulReload: after a reload that failed, going back to the old content reloads as well, for the
// balancer may have loaded the new one after all.
func TestDoubtfulReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.apply(t, "check:- whole:one reload:one", "one", "")
	f.driver.text, f.driver.reload = "two", errors.New("boom")
	f.apply(t, "check:one whole:two reload:two", "one", target.StageReload)
	f.driver.text, f.driver.reload = "one", nil
	f.apply(t, "reload:one", "one", "")
}

// TestNobodyToReload: the checked file stays for when the balancer starts, and is not taken for loaded.
func TestNobodyToReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.driver.reload = fmt.Errorf("%w: no socket", reload.ErrNotRunning)
	f.apply(t, "check:- whole:one reload:one", "one", target.StageReload)
	f.apply(t, "reload:one", "one", target.StageReload)
	f.driver.reload = nil
	f.apply(t, "reload:one", "one", "")
}

// TestDiedBeforeReload: the process ended between rename and reload; the next one takes it up.
func TestDiedBeforeReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if err := f.store.SaveTarget(f.ID(), record.Target{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.dest, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.apply(t, "reload:one", "one", "")
}

func TestWithoutReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	res, err := f.Apply(context.Background(), adapter.Pools{}, nil)
	if err != nil || !res.Wrote || res.Reloaded {
		t.Errorf("got %+v, %v", res, err)
	}
	if p, err := f.Plan(context.Background(), adapter.Pools{}); err != nil || p.Write || p.Reload == "" {
		t.Errorf("plan %+v, %v", p, err)
	}
	f.apply(t, "reload:one", "one", "")

	silent := newFixture(t, nil)
	silent.driver.silent = true
	silent.apply(t, "check:- whole:one", "one", "")
	silent.apply(t, "", "one", "")
}

// TestForeignFile: what something else wrote is not replaced unasked; what we wrote is healed.
func TestForeignFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		found string
		adopt bool
		log   string
		file  string
		stage target.Stage
	}{
		"foreign":        {"theirs", false, "", "theirs", target.StageWrite},
		"foreign, adopt": {"theirs", true, "check:theirs whole:one reload:one", "one", ""},
		"empty":          {"", false, "check: whole:one reload:one", "one", ""},
		"marked as ours": {"# by gossip-lbsync\nold", false, "check:# by gossip-lbsync\nold whole:one reload:one", "one", ""},
		"mark too late":  {"x\n# by gossip-lbsync", false, "", "x\n# by gossip-lbsync", target.StageWrite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(c *config.Target) { c.Files[0].Adopt = tt.adopt })
			if err := os.WriteFile(f.dest, []byte(tt.found), 0o600); err != nil {
				t.Fatal(err)
			}
			if un, err := f.Unrecorded(); err != nil || un != (tt.found != "") {
				t.Errorf("unrecorded: %t, %v", un, err)
			}
			f.apply(t, tt.log, tt.file, tt.stage)
		})
	}
	f := newFixture(t, nil)
	f.apply(t, "check:- whole:one reload:one", "one", "")
	if un, err := f.Unrecorded(); un || err != nil {
		t.Errorf("unrecorded: %t, %v", un, err)
	}
	if err := os.WriteFile(f.dest, []byte("edited by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.apply(t, "", "edited by hand", target.StageWrite)
}

// TestEndOfProcess: a pass that would begin when the process ends does not; one whose file is being put in
// place goes on to the reload, or else file and balancer would disagree.
func TestEndOfProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Apply(ctx, adapter.Pools{}, leave); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(f.dest); err == nil {
		t.Error("a pass began although the process ends")
	}

	late, cancel := context.WithCancel(context.Background())
	f = newFixture(t, nil)
	f.driver.atWhole = cancel
	if res, err := f.Apply(late, adapter.Pools{}, leave); err != nil || !res.Reloaded {
		t.Errorf("got %+v, %v", res, err)
	}
}
