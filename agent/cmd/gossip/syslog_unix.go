//go:build !windows

package main

import (
	"fmt"
	"log/syslog"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-645ce708/gossip/agent"
	"github.com/seed-645ce708/gossip/agent/internal/config"
)

// syslogTag is the program name in syslog.
const syslogTag = "gossip"

// syslogQueue bounds the lines that wait for a slow syslog; more are dropped.
const syslogQueue = 1024

var facilities = map[string]syslog.Priority{
	"KERN": syslog.LOG_KERN, "USER": syslog.LOG_USER, "MAIL": syslog.LOG_MAIL, "DAEMON": syslog.LOG_DAEMON,
	"AUTH": syslog.LOG_AUTH, "SYSLOG": syslog.LOG_SYSLOG, "LPR": syslog.LOG_LPR, "NEWS": syslog.LOG_NEWS,
	"UUCP": syslog.LOG_UUCP, "CRON": syslog.LOG_CRON, "AUTHPRIV": syslog.LOG_AUTHPRIV, "FTP": syslog.LOG_FTP,
	"LOCAL0": syslog.LOG_LOCAL0, "LOCAL1": syslog.LOG_LOCAL1, "LOCAL2": syslog.LOG_LOCAL2, "LOCAL3": syslog.LOG_LOCAL3,
	"LOCAL4": syslog.LOG_LOCAL4, "LOCAL5": syslog.LOG_LOCAL5, "LOCAL6": syslog.LOG_LOCAL6, "LOCAL7": syslog.LOG_LOCAL7,
}

// startSyslog sends the agent's log to the host's syslog too, if it is configured (Serf reference 3.8).
func startSyslog(cfg config.Config, a *agent.Agent) (stop func(), err error) {
	if !cfg.EnableSyslog {
		return func() {}, nil
	}
	facility, ok := facilities[strings.ToUpper(cfg.SyslogFacility)]
	if !ok {
		return nil, fmt.Errorf("invalid syslog facility: %s", cfg.SyslogFacility)
	}
	w, err := syslog.New(facility|syslog.LOG_NOTICE, syslogTag)
	if err != nil {
		return nil, fmt.Errorf("%w (does a syslog daemon run on this host?)", err)
	}
	type line struct {
		level hclog.Level
		text  string
	}
	lines := make(chan line, syslogQueue)
	quit, done := make(chan struct{}), make(chan struct{})
	a.AlsoLog(func(level hclog.Level, text string) {
		select {
		case lines <- line{level, text}:
		default: // a log must never hold up the agent
		}
	})
	go func() {
		defer close(done)
		for {
			select {
			case l := <-lines:
				_ = syslogWrite(w, l.level, l.text) // the line is on the console too
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		_ = w.Close() // nothing is buffered
	}, nil
}

func syslogWrite(w *syslog.Writer, level hclog.Level, text string) error {
	switch level {
	case hclog.Trace:
		return w.Debug(text)
	case hclog.Debug:
		return w.Info(text)
	case hclog.Warn:
		return w.Warning(text)
	case hclog.Error:
		return w.Err(text)
	}
	return w.Notice(text)
}
