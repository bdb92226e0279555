package endtoend

import (
	"archive/zip"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/agenttest"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/tftest"
)

// patience is what something that must happen may take.
const patience = time.Minute

// module makes a workspace of a module of ours.
func module(t *testing.T, name string, env ...string) *tftest.Workspace {
	t.Helper()
	w := tftest.NewWorkspace(t, provider, env...)
	if err := os.CopyFS(w.Dir, os.DirFS(filepath.Join(modules, name))); err != nil {
		t.Fatal(err)
	}
	w.Run(t, "init")
	return w
}

// The modules' tests against agents of ours.
func TestModulesForReal(t *testing.T) {
	t.Parallel()
	const key = "MDEyMzQ1Njc4OTAxMjM0NQ=="
	waves := []string{"canary", "rest"}
	cluster := agenttest.Cluster(t, "web", 2, func(i int, cfg *agent.Config) {
		cfg.EncryptKey = key
		cfg.Tags = map[string]string{"svc:web": "8080", "wave": waves[i]}
		cfg.EventHandlers = []string{"query:release=printf v1"}
	})
	address := "GOSSIP_RPC_ADDR=" + cluster[0].RPCAddr()
	t.Run("rolling-deploy", func(t *testing.T) {
		t.Parallel()
		w := module(t, "rolling-deploy", address)
		if out := w.Run(t, "test", "-filter=tests/real.tftest.hcl"); !strings.Contains(out, "1 passed, 0 failed") {
			t.Errorf("terraform test printed:\n%s", out)
		}
		// Members that answer otherwise stop the deploy at the first wave, and are named.
		out, err := w.Try(t, "apply", "-auto-approve", "-var=release=v2", `-var=waves=["canary","rest"]`, "-var=wave_timeout=1ms", "-var=query_timeout=1m")
		if err == nil || !strings.Contains(out, `web-1: answered "v1"`) || strings.Contains(out, "wave_2[0]: Creating") {
			t.Errorf("a deploy that nobody followed ended with %v:\n%s", err, out)
		}
	})
	t.Run("service-endpoints", func(t *testing.T) {
		t.Parallel()
		w := module(t, "service-endpoints", address, `TF_VAR_services={"web"=2}`)
		if out := w.Run(t, "test", "-filter=tests/real.tftest.hcl"); !strings.Contains(out, "1 passed, 0 failed") {
			t.Errorf("terraform test printed:\n%s", out)
		}
	})
	t.Run("key-rotation", func(t *testing.T) {
		t.Parallel()
		w := module(t, "key-rotation", address)
		var ids []string
		for i, key := range []string{"AAECAwQFBgcICQoLDA0ODw==", "EBESExQVFhcYGRobHB0eHw=="} {
			version := strconv.Itoa(i)
			w.Run(t, "apply", "-auto-approve", "-var=key_version="+version, "-var=key="+key)
			w.Run(t, "plan", "-detailed-exitcode", "-var=key_version="+version, "-var=key="+key) // fails if there is any change
			ids = append(ids, strings.TrimSpace(w.Run(t, "output", "-raw", "key_id")))
		}
		ring, err := session.New(session.Config{Addrs: []string{cluster[1].RPCAddr()}, Timeout: patience}).Keyring(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ids[0] == ids[1] || len(ring.Keys) != 2 || ring.Primary[ids[1]] != ring.Nodes {
			t.Errorf("after two rotations, to %v, the keys are %v and the primary ones %v", ids, ring.Keys, ring.Primary)
		}
	})
}

// What the module renders starts an agent that joins.
func TestAgentBootstrapForReal(t *testing.T) {
	t.Parallel()
	first := agenttest.Start(t, "first", nil)
	w := module(t, "agent-bootstrap")
	settings := `-var=settings={node_name="second",bind="127.0.0.1:0",rpc_addr="127.0.0.1:0",snapshot_path="` + filepath.Join(t.TempDir(), "snapshot") + `"}`
	w.Run(t, "apply", "-auto-approve", `-var=retry_join=["`+first.GossipAddr()+`"]`, `-var=tags={"svc:web"="8080"}`, settings)
	var config map[string]any
	text := w.Run(t, "output", "-raw", "agent_config")
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "gossip")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/seed-645ce708/gossip/agent/cmd/gossip").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	second := exec.Command(program, "agent", "-config-file="+file)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = second.Process.Kill() // it may be gone
		_ = second.Wait()         // killed
	})
	client := agenttest.Dial(t, first)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		members, err := client.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.Name == "second" && m.Tags["svc:web"] == "8080" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent did not join within %s: %v", patience, members)
		}
	}
}

// Keys, tokens and write-only payloads are found nowhere: not in the state, the plan, the log, or what is printed.
func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	const (
		key     = "c2VjcmV0LW1hcmtlci1vZi1hLWtleS4u" // 24 bytes
		payload = "secret-marker-of-a-payload"
		token   = "secret-marker-of-a-token"
	)
	node := agenttest.Start(t, "n1", func(cfg *agent.Config) {
		cfg.EncryptKey = "MDEyMzQ1Njc4OTAxMjM0NQ=="
		cfg.RPCAuth = token
	})
	log := filepath.Join(t.TempDir(), "terraform.log")
	w := tftest.NewWorkspace(t, provider, "GOSSIP_RPC_ADDR="+node.RPCAddr(), "GOSSIP_RPC_AUTH="+token, "TF_LOG=TRACE", "TF_LOG_PATH="+log,
		"TF_VAR_key="+key, "TF_VAR_payload="+payload)
	w.Write(t, "main.tf", source+`
variable "key" {
  type      = string
  ephemeral = true
}
variable "payload" {
  type      = string
  ephemeral = true
}
resource "gossip_key" "k" {
  key_wo         = var.key
  key_wo_version = 1
}
resource "gossip_event" "e" {
  name               = "secret"
  payload_wo         = var.payload
  payload_wo_version = 1
}
ephemeral "gossip_key" "random" {}
data "gossip_keyring" "r" {
  depends_on = [gossip_key.k]
}
`)
	w.Run(t, "init")
	printed := w.Run(t, "plan", "-out=plan.bin") + w.Run(t, "show", "-json", "plan.bin") + w.Run(t, "apply", "-auto-approve", "plan.bin")
	printed += w.Run(t, "show", "-json")
	texts := unpacked(t, filepath.Join(w.Dir, "plan.bin"))
	texts["what is printed"] = printed
	for what, file := range map[string]string{"the state": filepath.Join(w.Dir, "terraform.tfstate"), "the log": log} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[what] = string(text)
	}
	for what, text := range texts {
		for _, secret := range []string{key, payload, token} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", secret, what)
			}
		}
	}
	for what, word := range map[string]string{"the log": "gossip", "the state": "payload_wo_version", "the plan's tfplan": "payload_wo_version"} {
		if !strings.Contains(texts[what], word) {
			t.Errorf("%s has no word of this run, so it proves nothing", what)
		}
	}
}

// unpacked returns the parts of a saved plan, which is a compressed archive.
func unpacked(t *testing.T, file string) map[string]string {
	t.Helper()
	plan, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plan.Close() }() // only read
	parts := map[string]string{}
	for _, f := range plan.File {
		text, err := fs.ReadFile(plan, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		parts["the plan's "+f.Name] = string(text)
	}
	return parts
}
