package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-645ce708/gossip/agent/internal/config"
	"github.com/seed-645ce708/gossip/dnsserver/dnsclient"
)

func resolveCommand() *command {
	return &command{
		name:     "resolve",
		args:     "[options] name [type]",
		synopsis: "Asks the agent's DNS",
		help: `Asks the DNS server of a running agent for a name, such as web.service, alpha.node or _web._tcp.service, and shows
the records found: name, time to live, type, data. The zone is appended to a name that is not in it and does not
end in a dot. The type is A unless given, or SRV for a name that begins with an underscore.`,
		setup: func(c *cli, fs *flag.FlagSet) action {
			form := formatFlag(fs)
			addr := fs.String("dns-addr", "", "`HOST:PORT` of the agent's DNS (default $GOSSIP_DNS_ADDR, else "+config.DefaultDNSAddr+")")
			zone := fs.String("dns-zone", config.DefaultDNSZone, "`ZONE` of the agent (default "+config.DefaultDNSZone+")")
			short := fs.Bool("short", false, "show the data alone")
			return func(ctx context.Context, args []string) error {
				if len(args) < 1 || len(args) > 2 {
					return usagef("one name, and perhaps a type, must be specified, behind all flags")
				}
				name := qualify(args[0], *zone)
				qtype := "A"
				if strings.HasPrefix(name, "_") {
					qtype = "SRV"
				}
				if len(args) == 2 {
					qtype = strings.ToUpper(args[1])
				}
				server := cmp.Or(*addr, c.getenv("GOSSIP_DNS_ADDR"), config.DefaultDNSAddr)
				answer, err := dnsclient.Lookup(ctx, server, name, qtype)
				if err != nil {
					return failed("Error resolving "+name, err)
				}
				if *form == formatJSON {
					if err := c.printJSON(newResolveJSON(name, qtype, answer)); err != nil {
						return err
					}
				} else if len(answer.Records) > 0 {
					if err := c.printf("%s\n", resolveText(answer, *short)); err != nil {
						return err
					}
				}
				if len(answer.Records) > 0 && answer.Reason != "" {
					fmt.Fprintln(c.stderr, "Note: "+answer.Reason)
				}
				return negative(name, qtype, server, *zone, answer)
			}
		},
	}
}

// qualify appends the zone to a name that is not in it and is not absolute.
func qualify(name, zone string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	zone = strings.Trim(zone, ".")
	if lower := strings.ToLower(name); zone == "" || lower == strings.ToLower(zone) || strings.HasSuffix(lower, "."+strings.ToLower(zone)) {
		return name + "."
	}
	return name + "." + zone + "."
}

func resolveText(answer dnsclient.Answer, short bool) string {
	var rows [][]string
	records := answer.Records
	if !short {
		records = append(records[:len(records):len(records)], answer.Additional...)
	}
	for _, r := range records {
		if short {
			rows = append(rows, []string{r.Data})
		} else {
			rows = append(rows, []string{r.Name, strconv.FormatUint(uint64(r.TTL), 10), r.Type, r.Data})
		}
	}
	return columns(rows)
}

// negative turns an answer without records into an error that tells why.
func negative(name, qtype, server, zone string, answer dnsclient.Answer) error {
	reason := ""
	if answer.Reason != "" {
		reason = ": " + answer.Reason
	}
	switch {
	case len(answer.Records) > 0:
		return nil
	case answer.Rcode == "NXDOMAIN":
		if label, ok := escapedNode(name, zone); ok {
			return fmt.Errorf("%s does not exist (NXDOMAIN)%s; a node whose name has dots is found as %s", name, reason, label)
		}
		return fmt.Errorf("%s does not exist (NXDOMAIN)%s; 'gossip members' shows who is there", name, reason)
	case answer.Rcode == "NOERROR":
		return fmt.Errorf("%s exists but has no %s record%s", name, qtype, reason)
	case answer.Rcode == "REFUSED":
		return fmt.Errorf("%s is not in a zone of the DNS server at %s (REFUSED)%s; name its zone with -dns-zone", name, server, reason)
	}
	return fmt.Errorf("the DNS server at %s cannot tell about %s (%s)%s", server, name, answer.Rcode, reason)
}

// escapedNode returns where a node is found whose name has dots, if that is what was asked for.
func escapedNode(name, zone string) (string, bool) {
	below := ".node." + strings.Trim(zone, ".") + "."
	node, ok := strings.CutSuffix(name, below)
	return strings.ReplaceAll(node, ".", "_x2e") + below, ok && strings.Contains(node, ".")
}

// resolveJSON is the output of -format json.
type resolveJSON struct {
	Name          string       `json:"name"`
	Type          string       `json:"type"`
	Status        string       `json:"status"` // NOERROR, NXDOMAIN, ...
	Reason        string       `json:"reason,omitempty"`
	Authoritative bool         `json:"authoritative"`
	Answers       []recordJSON `json:"answers"`
	Additional    []recordJSON `json:"additional"`
}

type recordJSON struct {
	Name string `json:"name"`
	TTL  uint32 `json:"ttl"`
	Type string `json:"type"`
	Data string `json:"data"`
}

func newResolveJSON(name, qtype string, a dnsclient.Answer) resolveJSON {
	convert := func(records []dnsclient.Record) []recordJSON {
		list := []recordJSON{}
		for _, r := range records {
			list = append(list, recordJSON(r))
		}
		return list
	}
	return resolveJSON{
		Name: name, Type: qtype, Status: a.Rcode, Reason: a.Reason, Authoritative: a.Authoritative,
		Answers: convert(a.Records), Additional: convert(a.Additional),
	}
}
