package nginx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/seed-645ce708/gossip/lbsync/internal/command"
	"github.com/seed-645ce708/gossip/lbsync/internal/config"
)

// versionLimit is for programs that answer at once.
const versionLimit = 10 * time.Second

// CheckAlone has nginx read the candidate inside an otherwise empty configuration: that finds what is wrong
// with it without touching the live files. section is config.SectionHTTP or SectionStream.
func CheckAlone(ctx context.Context, limit time.Duration, section, candidate string) error {
	dir, err := os.MkdirTemp("", "gossip-lbsync-nginx-*")
	if err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	candidate, err = filepath.Abs(candidate)
	if err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	module := ""
	if section == config.SectionStream {
		module = built(ctx).streamModule
	}
	main := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(main, []byte(wrapper(dir, section, module, candidate)), 0o600); err != nil {
		return fmt.Errorf("nginx check: %w", err)
	}
	_, err = command.Run(ctx, limit, []string{"nginx", "-t", "-q", "-p", dir, "-c", main})
	return err
}

// wrapper is the smallest configuration that includes the candidate. All paths that nginx would otherwise
// make or write point into dir, so that any user can run the check.
func wrapper(dir, section, module, candidate string) string {
	var b strings.Builder
	if module != "" {
		fmt.Fprintf(&b, "load_module %s;\n", quote(module))
	}
	fmt.Fprintf(&b, "pid %s;\nerror_log stderr;\nevents {}\n%s {\n", quote(filepath.Join(dir, "pid")), section)
	if section == config.SectionHTTP {
		b.WriteString("    access_log off;\n")
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			fmt.Fprintf(&b, "    %s_temp_path %s;\n", kind, quote(filepath.Join(dir, kind)))
		}
	}
	fmt.Fprintf(&b, "    include %s;\n}\n", quote(candidate))
	return b.String()
}

// quote makes one word of a path for nginx, which takes a dollar sign as it is here.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// errNoMount means that the candidate could not be laid over the file.
var errNoMount = errors.New("the candidate cannot be mounted over the file, for which the process must be root, and the file be there")

// CheckMounted has nginx read its whole configuration with the candidate in the place of dest, which only nginx sees so:
// it is mounted over it in a mount namespace that ends with the check. main empty means nginx's own default.
func CheckMounted(ctx context.Context, limit time.Duration, main, dest, candidate string) error {
	argv := append([]string{"unshare", "-m", "--", "sh", "-c", `mount --bind "$1" "$2" || exit 99; shift 2; exec "$@"`, "sh", candidate, dest},
		DefaultInstalled(main)...)
	_, err := command.Run(ctx, limit, argv)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 99 {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}
	return err
}

// mountable tells whether this process may make mount namespaces.
var mountable = sync.OnceValue(func() bool {
	_, err := command.Run(context.Background(), versionLimit, []string{"unshare", "-m", "--", "sh", "-c", "command -v mount"})
	return err == nil
})

// DefaultInstalled is the argument vector that checks the whole configuration once the file is in place.
// main empty means nginx's own default.
func DefaultInstalled(main string) []string {
	argv := []string{"nginx", "-t", "-q"}
	if main != "" {
		argv = append(argv, "-c", main)
	}
	return argv
}

// build is how the installed nginx was built.
type build struct {
	version      string
	main         string // path of the main configuration
	errorLog     string
	streamModule string // path of the module that the stream section needs; empty if it is built in, or not there
}

// built asks nginx; what it does not say is empty.
func built(ctx context.Context) build {
	out, err := command.Run(ctx, versionLimit, []string{"nginx", "-V"})
	if err != nil {
		return build{}
	}
	return parseBuild(out)
}

var (
	versionPattern = regexp.MustCompile(`nginx version: \S+/(\S+)`)
	optionPattern  = regexp.MustCompile(`--([a-z-]+)=(\S+)`)
)

func parseBuild(text string) build {
	var b build
	if m := versionPattern.FindStringSubmatch(text); m != nil {
		b.version = m[1]
	}
	options := map[string]string{}
	for _, m := range optionPattern.FindAllStringSubmatch(text, -1) {
		options[m[1]] = m[2]
	}
	b.main, b.errorLog = options["conf-path"], options["error-log-path"]
	if options["with-stream"] == "dynamic" {
		path := filepath.Join(options["modules-path"], "ngx_stream_module.so")
		if _, err := os.Stat(path); err == nil {
			b.streamModule = path
		}
	}
	return b
}
