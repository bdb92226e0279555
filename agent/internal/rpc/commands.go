package rpc

import (
	"context"
	"strings"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// command is how one command of Serf reference 4.3 is carried out.
type command struct {
	body bool // a body follows the header
	// run returns an error only if the body cannot be decoded.
	run func(c *conn, h api.RequestHeader, body []byte) (answer, error)
}

// plain makes a command without a body.
func plain(run func(c *conn) answer) command {
	return command{run: func(c *conn, _ api.RequestHeader, _ []byte) (answer, error) { return run(c), nil }}
}

// with makes a command whose body is a T.
func with[T any](run func(c *conn, seq uint64, req T) answer) command {
	return command{body: true, run: func(c *conn, h api.RequestHeader, body []byte) (answer, error) {
		var req T
		if err := frame.Decode(body, &req); err != nil {
			return answer{}, err
		}
		return run(c, h.Seq, req), nil
	}}
}

// commands holds every command by its name. It is never modified.
var commands = map[string]command{
	api.CommandHandshake:       with((*conn).handshake),
	api.CommandAuth:            with((*conn).authenticate),
	api.CommandEvent:           with((*conn).userEvent),
	api.CommandForceLeave:      with((*conn).forceLeave),
	api.CommandJoin:            with((*conn).join),
	api.CommandMembers:         plain((*conn).listMembers),
	api.CommandMembersFiltered: with((*conn).filterMembers),
	api.CommandTags:            with((*conn).updateTags),
	api.CommandStream:          with((*conn).startStream),
	api.CommandMonitor:         with((*conn).startMonitor),
	api.CommandStop:            with((*conn).stopStream),
	api.CommandLeave:           plain((*conn).leave),
	api.CommandQuery:           with((*conn).startQuery),
	api.CommandRespond:         with((*conn).respond),
	api.CommandInstallKey:      with((*conn).installKey),
	api.CommandUseKey:          with((*conn).useKey),
	api.CommandRemoveKey:       with((*conn).removeKey),
	api.CommandListKeys:        plain((*conn).listKeys),
	api.CommandStats:           plain((*conn).stats),
	api.CommandGetCoordinate:   with((*conn).coordinate),
	api.CommandEventReceipts:   with((*conn).eventReceipts),
	api.CommandWhy:             with((*conn).why),
	api.CommandDoctor:          with((*conn).doctor),
}

func (c *conn) handshake(_ uint64, req api.HandshakeRequest) answer {
	switch {
	case req.Version != api.Version:
		return answer{err: api.ErrUnsupportedVersion}
	case c.greeted:
		return answer{err: api.ErrHandshakeDone}
	}
	c.greeted = true
	c.ready = c.srv.cfg.AuthKey == ""
	return answer{}
}

func (c *conn) authenticate(_ uint64, req api.AuthRequest) answer {
	if !c.srv.authentic(req.AuthKey) {
		c.srv.cfg.Logger.Warn("Client with an invalid authentication token: client: " + c.name)
		return answer{err: api.ErrInvalidToken}
	}
	c.ready = true
	return answer{}
}

func (c *conn) userEvent(_ uint64, req api.EventRequest) answer {
	return answer{err: c.srv.backend.UserEvent(req.Name, req.Payload, req.Coalesce)}
}

func (c *conn) forceLeave(_ uint64, req api.ForceLeaveRequest) answer {
	return answer{err: c.srv.backend.ForceLeave(c.ctx, req.Node, req.Prune)}
}

func (c *conn) join(_ uint64, req api.JoinRequest) answer {
	if len(req.Existing) == 0 {
		return answer{body: api.JoinResponse{}}
	}
	n, err := c.srv.backend.Join(c.ctx, req.Existing, req.Replay)
	return answer{err: err, body: api.JoinResponse{Num: int32(n)}}
}

func (c *conn) updateTags(_ uint64, req api.TagsRequest) answer {
	return answer{err: c.srv.backend.UpdateTags(c.ctx, req.Tags, req.DeleteTags)}
}

func (c *conn) leave() answer {
	c.srv.cfg.Logger.Info("Graceful leave triggered")
	err := c.srv.backend.Leave(c.ctx)
	if err != nil {
		c.srv.cfg.Logger.Error("leave failed: " + err.Error())
	}
	return answer{err: err, then: func() { c.srv.leftOnce.Do(func() { close(c.srv.left) }) }}
}

func (c *conn) installKey(_ uint64, req api.KeyRequest) answer {
	return c.changeKey(req, c.srv.backend.InstallKey)
}

func (c *conn) useKey(_ uint64, req api.KeyRequest) answer {
	return c.changeKey(req, c.srv.backend.UseKey)
}

func (c *conn) removeKey(_ uint64, req api.KeyRequest) answer {
	return c.changeKey(req, c.srv.backend.RemoveKey)
}

func (c *conn) changeKey(req api.KeyRequest, change func(context.Context, string) (api.KeyResponse, error)) answer {
	resp, err := change(c.ctx, req.Key)
	resp.Keys = nil // only listing tells them
	return keyAnswer(resp, err)
}

func (c *conn) listKeys() answer { return keyAnswer(c.srv.backend.ListKeys(c.ctx)) }

// keyAnswer sends the body even on error, and in it a map of messages even if there are none, as Serf does.
func keyAnswer(resp api.KeyResponse, err error) answer {
	if resp.Messages == nil {
		resp.Messages = map[string]string{}
	}
	return answer{err: err, body: resp}
}

func (c *conn) stats() answer { return answer{body: c.srv.backend.Stats()} }

func (c *conn) coordinate(_ uint64, req api.CoordinateRequest) answer {
	coord, ok := c.srv.backend.Coordinate(req.Node)
	if !ok {
		coord = api.Coordinate{}
	}
	return answer{body: api.CoordinateResponse{Coord: coord, Ok: ok}}
}

// reserved tells query names that belong to Serf itself; a ping without payload may be asked by anybody
// (Serf reference 2.10).
func reserved(req api.QueryRequest) bool {
	return strings.HasPrefix(req.Name, "_serf_") && (req.Name != "_serf_ping" || len(req.Payload) > 0)
}
