package client

import (
	"context"
	"fmt"
	"regexp"

	"github.com/seed-645ce708/gossip/agent/api"
)

// Members lists all members, in no order, of every status.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	var resp members
	err := c.call(ctx, api.CommandMembers, nil, &resp)
	return resp.list, err
}

// View lists all members as Members does, and tells how far the agent trusts the list; nil if it does not say, as stock
// Serf agents do not.
func (c *Client) View(ctx context.Context) ([]api.Member, *api.Confidence, error) {
	var resp members
	err := c.call(ctx, api.CommandMembers, nil, &resp)
	return resp.list, resp.confidence, err
}

// MembersFiltered lists the members that match every filter, in no order. Stock Serf does not group a filter before
// it anchors it, so write "(alive|left)" and not "alive|left" (Serf reference 4.4).
func (c *Client) MembersFiltered(ctx context.Context, req api.MembersFilteredRequest) ([]api.Member, error) {
	// Stock Serf hangs up on a bad expression, so it must not get there.
	if err := checkFilters(req); err != nil {
		return nil, err
	}
	var resp members
	err := c.call(ctx, api.CommandMembersFiltered, req, &resp)
	return resp.list, err
}

func checkFilters(req api.MembersFilteredRequest) error {
	check := func(what, expr string) error {
		if _, err := regexp.Compile("^(?:" + expr + ")$"); err != nil {
			return fmt.Errorf("members: the filter of %s, %q, is no regular expression: %w", what, expr, err)
		}
		return nil
	}
	if err := check("names", req.Name); err != nil {
		return err
	}
	if err := check("status", req.Status); err != nil {
		return err
	}
	for tag, expr := range req.Tags {
		if err := check("tag "+tag, expr); err != nil {
			return err
		}
	}
	return nil
}

// Join makes the agent join the cluster through the given gossip addresses and returns how many of them it reached;
// one is enough for success. replay asks for the user events that the others remember.
func (c *Client) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	var resp api.JoinResponse
	err := c.call(ctx, api.CommandJoin, api.JoinRequest{Existing: addrs, Replay: replay}, &resp)
	return int(resp.Num), err
}

// Leave makes the agent leave the cluster and end. It returns after the leave, which takes a second or more, and
// the agent hangs up soon after.
func (c *Client) Leave(ctx context.Context) error {
	return c.call(ctx, api.CommandLeave, nil, nil)
}

// ForceLeave turns a failed member into one that left; prune also makes everybody forget it at once. A name that
// nobody knows is no error.
func (c *Client) ForceLeave(ctx context.Context, node string, prune bool) error {
	return c.call(ctx, api.CommandForceLeave, api.ForceLeaveRequest{Node: node, Prune: prune}, nil)
}

// UserEvent fires a user event. With coalesce, receivers may skip all but the newest event of this name. Name and
// payload together may take 512 bytes, unless the agent is configured otherwise.
func (c *Client) UserEvent(ctx context.Context, name string, payload []byte, coalesce bool) error {
	return c.call(ctx, api.CommandEvent, api.EventRequest{Name: name, Payload: payload, Coalesce: coalesce}, nil)
}

// UpdateTags changes the agent's own tags: it deletes those named in del, then sets those in set.
func (c *Client) UpdateTags(ctx context.Context, set map[string]string, del []string) error {
	return c.call(ctx, api.CommandTags, api.TagsRequest{Tags: set, DeleteTags: del}, nil)
}

// Stats returns the agent's figures (Serf reference 4.6).
func (c *Client) Stats(ctx context.Context) (api.Stats, error) {
	var resp api.Stats
	err := c.call(ctx, api.CommandStats, nil, &resp)
	return resp, err
}

// Respond answers the query that arrived under id on a stream of this very Client.
func (c *Client) Respond(ctx context.Context, id uint64, payload []byte) error {
	return c.call(ctx, api.CommandRespond, api.RespondRequest{ID: id, Payload: payload}, nil)
}

// InstallKey gives a new gossip key, in standard base64, to every member's keyring. On an error of the members the
// response tells which of them failed and why; so it is with the other key commands.
func (c *Client) InstallKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return c.key(ctx, api.CommandInstallKey, api.KeyRequest{Key: key})
}

// UseKey makes every member encrypt with an installed key.
func (c *Client) UseKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return c.key(ctx, api.CommandUseKey, api.KeyRequest{Key: key})
}

// RemoveKey takes a key off every member's keyring.
func (c *Client) RemoveKey(ctx context.Context, key string) (api.KeyResponse, error) {
	return c.key(ctx, api.CommandRemoveKey, api.KeyRequest{Key: key})
}

// ListKeys counts for each key how many members have it.
func (c *Client) ListKeys(ctx context.Context) (api.KeyResponse, error) {
	return c.key(ctx, api.CommandListKeys, nil)
}

func (c *Client) key(ctx context.Context, command string, req any) (api.KeyResponse, error) {
	var resp api.KeyResponse
	err := c.call(ctx, command, req, &resp)
	return resp, err
}

// Coordinate returns a member's network coordinate; ok is false if the agent knows none.
func (c *Client) Coordinate(ctx context.Context, node string) (coord api.Coordinate, ok bool, err error) {
	var resp api.CoordinateResponse
	err = c.call(ctx, api.CommandGetCoordinate, api.CoordinateRequest{Node: node}, &resp)
	return resp.Coord, resp.Ok, err
}
