package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// keyOperation is one of the things that keys can do, in Serf's words.
type keyOperation struct {
	flag, help          string
	start, done, failed string
	call                func(*client.Client, context.Context, string) (api.KeyResponse, error)
}

var keyOperations = []keyOperation{
	{"install", "`KEY` to give to all members, which from then on can read what is encrypted with it",
		"Installing key on all members...", "Successfully installed key!", "Error installing key", (*client.Client).InstallKey},
	{"use", "`KEY` that all members are to encrypt with; it must be installed on all of them",
		"Changing primary key on all members...", "Successfully changed primary key!", "Error changing primary key", (*client.Client).UseKey},
	{"remove", "`KEY` that all members are to forget; it must not be the one in use",
		"Removing key on all members...", "Successfully removed key!", "Error removing key", (*client.Client).RemoveKey},
}

func keysCommand() *command {
	return &command{
		name:     "keys",
		args:     "[options]",
		synopsis: "Changes the gossip encryption keys of the whole cluster",
		help: `Changes or lists the keys with which the cluster encrypts its gossip. All members are asked; exit code 1 if any of
them fails or stays silent. To change the key: -install the new one, -use it, -remove the old one.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			rpc := c.rpcFlags(fs)
			form := formatFlag(fs)
			keys := make([]string, len(keyOperations))
			for i, op := range keyOperations {
				fs.StringVar(&keys[i], op.flag, "", op.help)
			}
			list := fs.Bool("list", false, "list the keys and how many members have each")
			return func(ctx context.Context, args []string) error {
				if err := none(args, ""); err != nil {
					return err
				}
				var chosen []int
				for i, key := range keys {
					if key != "" {
						chosen = append(chosen, i)
					}
				}
				n := len(chosen)
				if *list {
					n++
				}
				switch {
				case n == 0:
					return usagef("give one of -install, -use, -remove, or -list")
				case n > 1:
					return usagef("only one of -install, -use, -remove, or -list allowed")
				}
				return rpc.with(ctx, func(cl *client.Client) error {
					if *list {
						return c.listKeys(ctx, cl, *form)
					}
					return c.changeKeys(ctx, cl, *form, keyOperations[chosen[0]], keys[chosen[0]])
				})
			}
		},
	}
}

// keysJSON is the output of -format json, which Serf does not have.
type keysJSON struct {
	Nodes     int               `json:"nodes"`
	Responses int               `json:"responses"`
	Errors    int               `json:"errors"`
	Messages  map[string]string `json:"messages"`
	Keys      map[string]int    `json:"keys,omitempty"` // to the number of nodes that have it
	Error     string            `json:"error,omitempty"`
}

func (c *cli) keysJSON(resp api.KeyResponse, err error) error {
	out := keysJSON{Nodes: resp.NumNodes, Responses: resp.NumResp, Errors: resp.NumErr, Messages: resp.Messages, Keys: resp.Keys}
	if out.Messages == nil {
		out.Messages = map[string]string{}
	}
	if err != nil {
		out.Error = err.Error()
	}
	return c.printJSON(out)
}

func (c *cli) changeKeys(ctx context.Context, cl *client.Client, form format, op keyOperation, key string) error {
	return c.keyCall(form, op.start, op.failed, func() (api.KeyResponse, error) { return op.call(cl, ctx, key) },
		func(api.KeyResponse) error { return c.printf("==> %s\n", op.done) })
}

func (c *cli) listKeys(ctx context.Context, cl *client.Client, form format) error {
	call := func() (api.KeyResponse, error) { return cl.ListKeys(ctx) }
	return c.keyCall(form, "Asking all members for installed keys...", "Failed to gather member keys", call, func(resp api.KeyResponse) error {
		var rows [][]string
		for _, key := range slices.Sorted(maps.Keys(resp.Keys)) {
			rows = append(rows, []string{key, fmt.Sprintf("[%d/%d]", resp.Keys[key], resp.NumNodes)})
		}
		return c.printf("==> Keys gathered, listing cluster keys...\n\n%s\n", columns(rows))
	})
}

// keyCall makes the call and shows what became of it; done shows a success as text.
func (c *cli) keyCall(form format, start, fault string, call func() (api.KeyResponse, error), done func(api.KeyResponse) error) error {
	if form == formatText {
		if err := c.printf("==> %s\n", start); err != nil {
			return err
		}
	}
	resp, err := call()
	if form == formatJSON {
		if perr := c.keysJSON(resp, err); perr != nil {
			return perr
		}
		if err != nil {
			return failed(fault, err)
		}
		return nil
	}
	if err == nil {
		return done(resp)
	}
	var rows [][]string
	for _, node := range slices.Sorted(maps.Keys(resp.Messages)) {
		rows = append(rows, []string{"failed:", clean(node), clean(resp.Messages[node])})
	}
	if len(rows) > 0 {
		if perr := c.printf("%s\n", columns(rows)); perr != nil {
			return perr
		}
	}
	return failed(fault, err)
}
