package client

import (
	"errors"
	"fmt"
	"io"

	"github.com/seed-645ce708/gossip/agent/api"
	"github.com/seed-645ce708/gossip/agent/api/frame"
)

// read takes answers and records off the connection until that is gone, and then tells everybody who waits.
func (c *Client) read() {
	err := c.readAll()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: the agent at %s hung up", ErrClosed, c.addr)
	} else {
		err = fmt.Errorf("%w: reading from the agent at %s: %w", ErrClosed, c.addr, err)
	}
	c.fail(err)

	c.mu.Lock()
	left := c.pending
	c.pending = nil
	err = c.err
	c.mu.Unlock()
	for _, p := range left {
		p.fail(err)
	}
}

// fail tells whoever waits for p that the connection is gone.
func (p *pending) fail(err error) {
	if !p.answered && p.command == api.CommandMembersFiltered && err != ErrClosed { //nolint:errorlint // not by Close
		err = fmt.Errorf("%w without an answer, as Serf does on an invalid regular expression", err)
	}
	if !p.answered {
		p.reply <- reply{err: fmt.Errorf("%s: %w", p.command, err)}
	}
	if p.sink != nil {
		p.sink.end(err)
	}
}

func (c *Client) readAll() error {
	in := frame.NewReader(c.conn)
	var header, body []byte // reused
	ahead := false          // header holds a value that was read already
	for {
		var err error
		if !ahead {
			if header, err = in.Next(header, maxHeader); err != nil {
				return err
			}
		}
		ahead = false
		var h api.ResponseHeader
		if err := frame.Decode(header, &h); err != nil {
			return err
		}

		c.mu.Lock()
		p := c.pending[h.Seq]
		c.mu.Unlock()
		switch {
		case p == nil:
			// A record of a stream that was closed here but that the agent still sent. Whether there is a body
			// behind the header shows when the next value comes.
			if body, err = in.Next(body, maxBody); err != nil {
				return err
			}
			if looksLikeHeader(body) {
				header, body = body, header
				ahead = true
			}
		case p.answered:
			if body, err = in.Next(body, maxBody); err != nil {
				return err
			}
			if p.sink.record(body) {
				c.forget(h.Seq)
				p.sink.end(nil)
			}
		default:
			if err := c.answer(in, h, p); err != nil {
				return err
			}
		}
		if cap(body) > maxHeader { // do not hold on to the largest message of all
			body = nil
		}
	}
}

// answer passes on the response to p.
func (c *Client) answer(in *frame.Reader, h api.ResponseHeader, p *pending) error {
	var r reply
	if h.Error != "" {
		r.err = &RemoteError{Command: p.command, Message: h.Error}
	}
	if p.body && !bodyless(h.Error) {
		var err error
		if r.body, err = in.Next(nil, maxBody); err != nil {
			if r.err == nil {
				return err
			}
			// An agent that hangs up after its refusal has still answered.
			r.body = nil
			c.forget(h.Seq)
			p.reply <- r
			return err
		}
	}
	p.answered = true
	if p.after != nil {
		p.after()
	}
	if p.sink == nil || r.err != nil {
		c.forget(h.Seq)
	}
	p.reply <- r
	return nil
}

func (c *Client) forget(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, seq)
}

// bodyless tells whether no body follows an error, whatever the command (Serf reference 4.1).
func bodyless(message string) bool {
	switch api.ProtocolError(message) {
	case api.ErrAuthRequired, api.ErrHandshakeRequired, api.ErrUnsupportedCommand:
		return true
	}
	return false
}

// looksLikeHeader tells a response header from a body: no body has these two keys.
func looksLikeHeader(value []byte) bool {
	var h struct {
		Error *string
		Seq   *uint64
	}
	return value[0] == 0x82 && frame.Decode(value, &h) == nil && h.Error != nil && h.Seq != nil
}
