package config

import (
	"fmt"
	"strings"
)

// CheckHandler tells whether an event handler specification [FILTER=]COMMAND is well-formed (Serf reference
// 3.3). Without a filter, or with an empty one, it stands for all events.
func CheckHandler(spec string) error {
	filter, command, ok := strings.Cut(spec, "=")
	if !ok {
		filter, command = "", spec
	}
	if filter == "" {
		filter = "*"
	}
	if command == "" {
		return fmt.Errorf("invalid event script: '%s' names no command (write [FILTER=]COMMAND)", spec)
	}
	for event := range strings.SplitSeq(filter, ",") {
		kind, name, named := strings.Cut(event, ":")
		switch kind {
		case "*", "member-join", "member-leave", "member-failed", "member-update", "member-reap":
			if !named {
				continue
			}
		case "user", "query":
			if !named || name != "" {
				continue
			}
		}
		return fmt.Errorf("invalid event script: Event '%s' invoking '%s'", event, command)
	}
	return nil
}
