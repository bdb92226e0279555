//go:build !linux

package reload

import "time"

func children(int) (map[int]bool, error) { return nil, errNoProof }

func handles(int, string) bool { return true }

func startOf(int) (uint64, time.Time, error) { return 0, time.Time{}, ErrUnknown }
