//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-645ce708/gossip/dnsserver"
	"github.com/seed-645ce708/gossip/dnsserver/zone"
)

// serve is our server as a process of its own, until it is told to end.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "", "where to listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	z, err := zone.New(zone.Config{
		Origin: "gossip.", Self: nodeName(1), NodeTTL: ttl * time.Second, ServiceTTL: ttl * time.Second, NegativeTTL: ttl * time.Second, Serial: 1,
	})
	if err != nil {
		return err
	}
	z = z.Update(members())
	s, err := dnsserver.New(dnsserver.Config{Addr: *addr, Source: func() *zone.Zone { return z }})
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
	stats := s.Stats()
	fmt.Fprintf(os.Stderr, "%d queries, errors %d, latency p50 %v p99 %v\n", stats.UDP, stats.Errors, stats.Latency.Quantile(.5), stats.Latency.Quantile(.99))
	return s.Close()
}
