package client_test

import (
	"errors"
	"testing"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/client"
)

// A stock Serf agent refuses what it does not know, and the error says so.
func TestSerfGivesNoReceipts(t *testing.T) {
	t.Parallel()
	c := startSerf(t).dial("")
	_, err := c.EventReceipts(t.Context(), api.EventReceiptsRequest{Name: "x"})
	if !errors.Is(err, client.ErrUnsupported) || !errors.Is(err, api.ErrUnsupportedCommand) {
		t.Errorf("got %v", err)
	}
}
