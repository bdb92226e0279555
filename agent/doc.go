// Package agent is a whole agent as a value: what runs on every host of a cluster. It puts the parts together
// (gossip, core, events, handlers, RPC, DNS), starts them bottom-up, and stops them in reverse. The command line
// in cmd/gossip turns flags and signals into calls of this package; other programs may embed an agent the same way.
//
//	cfg := agent.DefaultConfig()
//	cfg.NodeName, cfg.Tags["role"] = "web-1", "web"
//	a, err := agent.New(cfg, agent.Options{LogOutput: os.Stdout})
//	...
//	err = a.Start(ctx) // joins what the configuration says
//	<-a.Done()         // someone told it to leave, or it cannot go on
//	err = a.Stop(ctx)
package agent
