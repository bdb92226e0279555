//go:build !windows && !plan9

package syslog

import (
	"fmt"
	"log/syslog"
	"strings"
)

var facilities = map[string]syslog.Priority{
	"KERN": syslog.LOG_KERN, "USER": syslog.LOG_USER, "MAIL": syslog.LOG_MAIL, "DAEMON": syslog.LOG_DAEMON,
	"AUTH": syslog.LOG_AUTH, "SYSLOG": syslog.LOG_SYSLOG, "LPR": syslog.LOG_LPR, "NEWS": syslog.LOG_NEWS,
	"UUCP": syslog.LOG_UUCP, "CRON": syslog.LOG_CRON, "AUTHPRIV": syslog.LOG_AUTHPRIV, "FTP": syslog.LOG_FTP,
	"LOCAL0": syslog.LOG_LOCAL0, "LOCAL1": syslog.LOG_LOCAL1, "LOCAL2": syslog.LOG_LOCAL2, "LOCAL3": syslog.LOG_LOCAL3,
	"LOCAL4": syslog.LOG_LOCAL4, "LOCAL5": syslog.LOG_LOCAL5, "LOCAL6": syslog.LOG_LOCAL6, "LOCAL7": syslog.LOG_LOCAL7,
}

// Open connects to the host's syslog daemon. facility is a name such as LOCAL0 or daemon, in any case.
func Open(facility string) (*Feed, error) {
	return dial("", "", facility)
}

// dial connects to a daemon at an address; "" is the host's.
func dial(network, addr, facility string) (*Feed, error) {
	f, ok := facilities[strings.ToUpper(facility)]
	if !ok {
		return nil, fmt.Errorf("invalid syslog facility: %s (one of KERN, USER, DAEMON, ..., LOCAL0 to LOCAL7)", facility)
	}
	w, err := syslog.Dial(network, addr, f|syslog.LOG_NOTICE, Tag)
	if err != nil {
		return nil, fmt.Errorf("%w (does a syslog daemon run on this host?)", err)
	}
	return start(w), nil
}
