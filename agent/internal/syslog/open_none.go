//go:build windows || plan9

package syslog

import "errors"

// Open refuses: there is no syslog here.
func Open(string) (*Feed, error) {
	return nil, errors.New("this operating system has no syslog (drop enable_syslog)")
}
