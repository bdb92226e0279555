// Package service reads which services a member offers from its tags. Services are nothing but tags, so a
// stock Serf agent can publish one by hand and DNS, load-balancer sync and Terraform all read the same thing.
// The package is pure and imports the standard library alone.
//
// Two forms are understood:
//
//	svc:NAME=PORT[,w=WEIGHT][,p=PRIORITY][,drain]   any number of services
//	role=NAME with an optional port=PORT            one service, as Serf users write it
//
// If both name the same service, the svc: form wins.
package service

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// TagPrefix starts the key of a tag that publishes a service.
const TagPrefix = "svc:"

// DefaultWeight is the weight of an instance that names none: w=50 asks for half the usual share.
const DefaultWeight = 100

// Service is one service as one member offers it.
type Service struct {
	Name     string
	Port     uint16 // 0 if the tags name none, which only the role form allows
	Weight   uint16 // relative share among instances of equal priority
	Priority uint16 // instances of the lowest priority are used first
	Drain    bool   // finish what runs, send nothing new
}

// FromTags returns the services that the tags publish, sorted by name. A tag that cannot be read publishes
// nothing; the joined error names each such tag, and the services beside it are still returned.
func FromTags(tags map[string]string) ([]Service, error) {
	var services []Service
	var errs []error
	for key, value := range tags {
		name, ok := strings.CutPrefix(key, TagPrefix)
		if !ok {
			continue
		}
		s, err := parse(name, value)
		if err != nil {
			errs = append(errs, fmt.Errorf("tag %q=%q: %w", key, value, err))
			continue
		}
		services = append(services, s)
	}
	if role := tags["role"]; role != "" && !slices.ContainsFunc(services, func(s Service) bool { return s.Name == role }) {
		s := Service{Name: role, Weight: DefaultWeight}
		var err error
		if text, ok := tags["port"]; ok {
			if s.Port, err = parsePort(text); err != nil {
				errs = append(errs, fmt.Errorf("tag \"port\"=%q: %w", text, err))
			}
		}
		if err == nil {
			services = append(services, s)
		}
	}
	sort.Slice(services, func(i, j int) bool { return services[i].Name < services[j].Name })
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return services, errors.Join(errs...)
}

func parse(name, value string) (Service, error) {
	if name == "" {
		return Service{}, errors.New("the service has no name; write svc:NAME=PORT")
	}
	parts := strings.Split(value, ",")
	port, err := parsePort(parts[0])
	if err != nil {
		return Service{}, err
	}
	s := Service{Name: name, Port: port, Weight: DefaultWeight}
	for _, part := range parts[1:] {
		key, text, _ := strings.Cut(part, "=")
		switch key {
		case "w":
			s.Weight, err = parse16("weight", text)
		case "p":
			s.Priority, err = parse16("priority", text)
		case "drain":
			if part != "drain" {
				err = fmt.Errorf("%q: drain takes no value", part)
			}
			s.Drain = true
		default:
			err = fmt.Errorf("unknown setting %q; known are w=, p= and drain", part)
		}
		if err != nil {
			return Service{}, err
		}
	}
	return s, nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", text)
	}
	return uint16(port), nil
}

func parse16(what, text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number from 0 to 65535", what, text)
	}
	return uint16(n), nil
}
