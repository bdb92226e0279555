package rpc

import "github.com/seed-645ce708/gossip/agent/api"

// The commands of this file are ours alone.

func (c *conn) eventReceipts(_ uint64, req api.EventReceiptsRequest) answer {
	resp, err := c.srv.backend.EventReceipts(c.ctx, req)
	return answer{err: err, body: resp}
}

func (c *conn) why(_ uint64, req api.WhyRequest) answer {
	resp, err := c.srv.backend.Why(c.ctx, req)
	return answer{err: err, body: resp}
}

func (c *conn) doctor(_ uint64, req api.DoctorRequest) answer {
	resp, err := c.srv.backend.Doctor(c.ctx, req.Node)
	return answer{err: err, body: resp}
}
