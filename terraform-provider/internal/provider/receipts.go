package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/terraform-provider/internal/session"
)

// defaultReceiptWait is how long to wait for receipts.
const defaultReceiptWait = 30 * time.Second

// receiptsModel is the argument wait of gossip_event.
type receiptsModel struct {
	Timeout        types.String `tfsdk:"timeout"`
	AcceptFailures types.Int64  `tfsdk:"accept_failures"`
}

// lastEventModel is the argument on_destroy of gossip_event.
type lastEventModel struct {
	Name    types.String `tfsdk:"name"`
	Payload types.String `tfsdk:"payload"`
}

// fire fires the event, and waits for receipts unless m is nil.
func (m *receiptsModel) fire(ctx context.Context, timeout time.Duration, agent *session.Agent, event session.Event) (string, api.EventReceiptsResponse, error) {
	if m == nil {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		node, err := agent.Fire(ctx, event)
		return node, api.EventReceiptsResponse{}, err
	}
	wait := min(duration(m.Timeout, defaultReceiptWait), api.MaxReceiptWait)
	ctx, cancel := context.WithTimeout(ctx, timeout+wait)
	defer cancel()
	return agent.FireAndWait(ctx, event, wait)
}

// failures says, a line each, which members did not get the event or did not handle it well.
func failures(response api.EventReceiptsResponse) []string {
	words := map[string]string{
		api.ReceiptFailed:  "its handler failed",
		api.ReceiptLost:    "got the event and lost it: the agent was too slow",
		api.ReceiptMissing: "had not got the event in time",
		api.ReceiptSilent:  "did not answer",
		api.ReceiptWaiting: "had not handled the event in time",
		api.ReceiptRunning: "was still handling the event",
	}
	var lines []string
	for _, receipt := range response.Receipts {
		what, failed := words[receipt.Status]
		if !failed {
			continue
		}
		var runs []string
		for _, run := range receipt.Handlers {
			if run.State != "ok" {
				runs = append(runs, fmt.Sprintf("%s: %s, exit %d %s", run.Command, run.State, run.Exit, run.Error))
			}
		}
		line := "  - " + receipt.Node + ": " + what
		if len(runs) > 0 {
			line += " (" + strings.TrimSpace(strings.Join(runs, "; ")) + ")"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
