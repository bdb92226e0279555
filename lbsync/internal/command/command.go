// Package command runs the programs that check and reload load balancers: an argument vector without a shell,
// a time limit that ends everything the program started, and bounded output.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// MaxOutput is how many bytes of a program's output are kept.
const MaxOutput = 64 << 10

// maxReason bounds how much of the output an error repeats.
const maxReason = 800

// Run runs argv and waits for its end, at most for the limit. env is added to the environment, as KEY=VALUE. It returns standard output and standard error
// as they came, mixed. The error names the program and says on one line what it said; its cause is
// exec.ErrNotFound, context.DeadlineExceeded or an *exec.ExitError, by errors.Is and errors.As.
func Run(ctx context.Context, limit time.Duration, argv []string, env ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out capped
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	ownGroup(cmd)
	cmd.WaitDelay = time.Second // a grandchild that keeps the output open does not keep us
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program itself has ended well; what it started lives on, or the machine is slow
	}
	if ctxErr := ctx.Err(); ctxErr != nil && err != nil {
		if errors.Is(ctxErr, context.DeadlineExceeded) {
			return out.String(), fmt.Errorf("%s: took longer than %v: %w", argv[0], limit, ctxErr)
		}
		return out.String(), fmt.Errorf("%s: %w", argv[0], ctxErr)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s: %w; install it, or name it with its path", argv[0], exec.ErrNotFound)
	}
	if err != nil {
		if said := Reason(out.String()); said != "" {
			return out.String(), fmt.Errorf("%s: %w: %s", argv[0], err, said)
		}
		return out.String(), fmt.Errorf("%s: %w", argv[0], err)
	}
	return out.String(), nil
}

// Reason boils a program's output down to one line: those lines that HAProxy or nginx mark as errors, or else
// all, joined and cut.
func Reason(output string) string {
	var marked, all []string
	for line := range strings.Lines(output) {
		line = strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
		if line == "" {
			continue
		}
		all = append(all, line)
		if strings.Contains(line, "[ALERT]") || strings.Contains(line, "[emerg]") {
			marked = append(marked, line)
		}
	}
	if len(marked) > 0 {
		all = marked
	}
	text := strings.Join(all, "; ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	return text
}

// capped keeps the first MaxOutput bytes and swallows the rest, so that the program never blocks.
type capped struct{ strings.Builder }

func (c *capped) Write(p []byte) (int, error) {
	if room := MaxOutput - c.Len(); room > 0 {
		c.Builder.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
