package provider

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/seed-645ce708/gossip/terraform-provider/internal/agentfake"
)

// identity is a certificate for 127.0.0.1 that anyone who trusts it may also show, and its key, as PEM.
func identity(t *testing.T) (pair tls.Certificate, cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair = server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// behind takes TLS off in front of an agent, and returns the address to reach it at.
func behind(t *testing.T, agent *agentfake.Agent, cfg *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // ends the loop
	go func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			inside, err := net.Dial("tcp", agent.Addr())
			if err != nil {
				_ = outside.Close() // the agent is gone
				continue
			}
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from) // until either hangs up
				_, _ = to.Close(), from.Close()
			}
			go pipe(outside, inside)
			go pipe(inside, outside)
		}
	}()
	return "tls://" + l.Addr().String()
}

func TestAccProviderTLS(t *testing.T) {
	t.Parallel()
	agent := agentfake.New(t, "n1", "")
	pair, cert, key := identity(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	open := behind(t, agent, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	closed := behind(t, agent, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, ClientCAs: pool, ClientAuth: tls.RequireAnyClientCert,
	})
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	with := func(address, attributes string) string {
		return fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  %s\n}\n%s", address, attributes, readMembers)
	}
	check := resource.TestCheckResourceAttr("data.gossip_members.all", "total", "1")
	trusted := fmt.Sprintf("ca_pem = %q\n", cert)
	apply(t,
		resource.TestStep{Config: with(open, ""), ExpectError: saying("says whom to trust")},
		resource.TestStep{Config: with("tls://"+agent.Addr(), trusted), ExpectError: saying("something in front of it must")},
		resource.TestStep{Config: with(open, trusted+`tls_server_name = "other.invalid"`), ExpectError: saying("says whom to trust")},
		resource.TestStep{Config: with(agent.Addr(), trusted), ExpectError: saying("There is no address with TLS")},
		resource.TestStep{Config: with(open, `ca_pem = "rubbish"`), ExpectError: saying("no PEM certificate in it")},
		resource.TestStep{Config: with(open, fmt.Sprintf("ca_file = %q", file("empty", ""))), ExpectError: saying("no PEM certificate in it")},
		resource.TestStep{Config: with(open, `ca_file = "/nowhere/ca.pem"`), ExpectError: saying("A file for TLS cannot be read")},
		resource.TestStep{Config: with(closed, trusted), ExpectError: saying("what to show")},
		resource.TestStep{
			Config:      with(closed, trusted+fmt.Sprintf("client_cert_pem = %q\nclient_key_pem = %q", cert, "rubbish")),
			ExpectError: saying("The client's certificate cannot be used"),
		},
		resource.TestStep{Config: with(open, trusted), Check: check},
		resource.TestStep{Config: with(open, "insecure_skip_verify = true"), Check: check},
		resource.TestStep{
			Config: with(closed, fmt.Sprintf("ca_file = %q\nclient_cert_file = %q\nclient_key_file = %q", file("ca", cert), file("cert", cert), file("key", key))),
			Check:  check,
		},
	)
}

// An agent of another cluster is asked nothing and told nothing.
func TestAccProviderExpectedCluster(t *testing.T) {
	t.Parallel()
	agent, stock := agentfake.New(t, "n1", ""), agentfake.New(t, "n2", "")
	agent.BecomeOurs()
	with := func(agent *agentfake.Agent, cluster string) string {
		return fmt.Sprintf("provider \"gossip\" {\n  address = %q\n  expected_cluster = %q\n}\n", agent.Addr(), cluster) +
			"resource \"gossip_event\" \"e\" {\n  name = \"deploy\"\n}\ndata \"gossip_agent\" \"this\" {\n  depends_on = [gossip_event.e]\n}\n"
	}
	apply(t,
		resource.TestStep{Config: with(agent, "stage"), ExpectError: sayingAnyCase(`the agent belongs to the cluster "prod" and not to "stage"`)},
		resource.TestStep{Config: with(stock, "prod"), ExpectError: sayingAnyCase("the agent says of no cluster that it belongs to it")},
		resource.TestStep{
			PreConfig: func() {
				if n := len(agent.Events()) + len(stock.Events()); n != 0 {
					t.Errorf("%d events were fired at the wrong cluster", n)
				}
			},
			Config: with(agent, "prod"),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckResourceAttr("data.gossip_agent.this", "cluster", "prod"),
				func(*terraform.State) error { return fired(agent, 1, "")(nil) },
			),
		},
	)
}
