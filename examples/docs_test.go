package examples_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const readme = "../README.md"

// foreign are the programs that the documents may call beside ours and make.
var foreign = []string{"apt-get", "cat", "cd", "cp", "curl", "dig", "echo", "export", "git", "haproxy", "install", "mkdir", "scp", "ssh", "sudo", "systemctl", "terraform"}

// TestReadmeCommands checks each command in the README's shell blocks: make has the target, and our programs have the
// subcommand and its flags.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	ctx, s := within(t), stage(t)
	makefile := string(must(os.ReadFile("../Makefile"))(t))
	commands := shellCommands(string(must(os.ReadFile(readme))(t)))
	if len(commands) == 0 {
		t.Fatal("the README has no command in a ```sh block")
	}
	for _, command := range commands {
		words := strings.Fields(command)
		for len(words) > 1 && (words[0] == "sudo" || strings.Contains(words[0], "=")) {
			words = words[1:]
		}
		program, args := filepath.Base(words[0]), words[1:]
		switch program {
		case "make":
			for _, target := range args {
				if !strings.Contains(target, "=") && !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%q: the Makefile has no target %s", command, target)
				}
			}
		case "gossip", "gossip-lbsync":
			if len(args) == 0 {
				t.Errorf("%q: no subcommand", command)
				continue
			}
			help := must(s.Run(ctx, nil, program, args[0], "-h"))(t)
			if help.Code != 0 {
				t.Errorf("%q: %s %s -h ends with exit code %d", command, program, args[0], help.Code)
				continue
			}
			for _, arg := range args[1:] {
				name, isFlag := strings.CutPrefix(arg, "-")
				name, _, _ = strings.Cut(name, "=")
				if isFlag && !regexp.MustCompile(`(?m)^\s+-`+regexp.QuoteMeta(name)+`\b`).MatchString(help.Stdout+help.Stderr) {
					t.Errorf("%q: the help of %s %s does not list -%s", command, program, args[0], name)
				}
			}
		default:
			if !slices.Contains(foreign, program) {
				t.Errorf("%q: %s is not a program of ours, nor one that the documents may take for granted", command, program)
			}
		}
	}
}

// shellCommands returns the commands of the blocks marked sh, without comments and with continued lines joined.
func shellCommands(text string) []string {
	var commands []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		code := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.Lines(code) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSuffix(strings.TrimSpace(line), "&"); line != "" {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// TestLinks checks that what the documents point to within the repository is there.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("looking through the documents: %w", err))
	}
}
