package dnssnippet

import (
	"fmt"
	"strings"
)

// The snippets are written by plain code. A template engine looks up methods by name, so that the linker would have to
// keep every method of the whole agent, which costs megabytes of memory on every host.

// values are what is written into the snippets.
type values struct {
	Params
	name string // the zone without its last dot
	id   string // the same as one word
	host string
	port uint16
}

var writers = map[string]func(values) string{
	"bind":             bind,
	"coredns":          coredns,
	"dnsmasq":          dnsmasq,
	"haproxy":          haproxy,
	"systemd-resolved": systemdResolved,
	"unbound":          unbound,
}

func bind(v values) string {
	var b strings.Builder
	b.WriteString("# named.conf; then: rndc reconfig\n")
	if len(v.Anchor) > 0 {
		b.WriteString("trust-anchors {\n")
		for _, ds := range v.Anchor {
			f := strings.Fields(ds)
			fmt.Fprintf(&b, "  \"%s.\" static-ds %s %s %s \"%s\";\n", v.name, f[0], f[1], f[2], f[3])
		}
		b.WriteString("};\n")
	} else {
		b.WriteString("# The root says that there is no such domain, and the zone is not signed: this goes into the options that are there.\n")
		fmt.Fprintf(&b, "options {\n  validate-except { \"%s\"; };\n};\n", v.name)
	}
	fmt.Fprintf(&b, "zone \"%s\" {\n  type forward;\n  forward only;\n  forwarders { %s port %d; };\n};\n", v.name, v.host, v.port)
	return b.String()
}

func coredns(v values) string {
	return fmt.Sprintf("# Corefile\n%s:53 {\n    errors\n    forward . %s\n}\n", v.name, v.Addr)
}

func dnsmasq(v values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# /etc/dnsmasq.d/%s.conf; then: systemctl restart dnsmasq\nserver=/%s/%s#%d\n", v.id, v.name, v.host, v.port)
	fmt.Fprintf(&b, "# Members have private addresses, which stop-dns-rebind would drop.\nrebind-domain-ok=/%s/\n", v.name)
	for _, ds := range v.Anchor {
		fmt.Fprintf(&b, "# Counts if dnssec is set.\ntrust-anchor=%s,%s\n", v.name, strings.Join(strings.Fields(ds), ","))
	}
	return b.String()
}

func haproxy(v values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# haproxy.cfg; then: systemctl reload haproxy\nresolvers %s\n  nameserver local %s\n", v.id, v.Addr)
	b.WriteString("  # HAProxy takes an answer that was cut for the whole one; this holds about 100 members.\n  accepted_payload_size 8192\n")
	b.WriteString("  # No answer is no reason to drop servers at once.\n")
	for _, reason := range []string{"obsolete", "nx", "refused", "timeout", "other"} {
		fmt.Fprintf(&b, "  hold %s 30s\n", reason)
	}
	fmt.Fprintf(&b, "\nbackend %[1]s\n  server-template %[1]s 20 _%[1]s._tcp.service.%[2]s resolvers %[3]s resolve-prefer ipv4 init-addr none check\n",
		v.Service, v.name, v.id)
	return b.String()
}

func systemdResolved(v values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# /etc/systemd/resolved.conf.d/%s.conf (systemd 246 or later); then: systemctl restart systemd-resolved\n", v.id)
	if len(v.Anchor) > 0 {
		fmt.Fprintf(&b, "# To have the signatures checked: DNSSEC=yes here, and in /etc/dnssec-trust-anchors.d/%s.positive\n", v.id)
		for _, ds := range v.Anchor {
			fmt.Fprintf(&b, "#   %s IN DS %s\n", v.name, ds)
		}
	} else {
		fmt.Fprintf(&b, "# With DNSSEC=yes the zone must be exempt: put the line \"%s\" into /etc/dnssec-trust-anchors.d/%s.negative\n", v.name, v.id)
	}
	fmt.Fprintf(&b, "[Resolve]\nDNS=%s\nDomains=~%s\n", v.Addr, v.name)
	return b.String()
}

func unbound(v values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# /etc/unbound/unbound.conf.d/%s.conf; then: unbound-control reload\nserver:\n", v.id)
	if v.Addr.Addr().IsLoopback() {
		b.WriteString("  do-not-query-localhost: no\n")
	}
	for _, ds := range v.Anchor {
		fmt.Fprintf(&b, "  trust-anchor: \"%s. DS %s\"\n", v.name, ds)
	}
	if len(v.Anchor) == 0 {
		fmt.Fprintf(&b, "  # The root says that there is no such domain, and the zone is not signed.\n  domain-insecure: \"%s.\"\n", v.name)
	}
	fmt.Fprintf(&b, "  # Members have private addresses, which private-address would drop.\n  private-domain: \"%s.\"\n", v.name)
	fmt.Fprintf(&b, "forward-zone:\n  name: \"%s.\"\n  forward-addr: %s@%d\n", v.name, v.host, v.port)
	return b.String()
}
