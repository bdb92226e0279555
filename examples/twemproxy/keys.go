package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// keys is how many are put into each pool.
const keys = 1000

// ask sends a command for each key over one connection, and returns how many of the lines that come back are want,
// until there is one for each key that ends an answer: one of the last ones.
func ask(addr string, command func(key string) string, want string, last ...string) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	lines, matches := bufio.NewScanner(conn), 0
	for i := range keys {
		if _, err := io.WriteString(conn, command(fmt.Sprintf("key-%d", i))); err != nil {
			return 0, err
		}
		for over := false; !over; {
			if !lines.Scan() {
				return 0, fmt.Errorf("%s closed the connection: %w", addr, lines.Err())
			}
			if lines.Text() == want {
				matches++
			}
			for _, l := range last {
				over = over || strings.HasPrefix(lines.Text(), l)
			}
		}
	}
	return matches, nil
}

// fillCache puts all keys into memcached.
func fillCache(addr string) error {
	n, err := ask(addr, func(key string) string { return "set " + key + " 0 0 1\r\nx\r\n" }, "STORED", "STORED", "SERVER_ERROR")
	if err == nil && n != keys {
		err = fmt.Errorf("%d of %d keys were stored in memcached", n, keys)
	}
	return err
}

// cached counts the keys that are found in memcached.
func cached(addr string) (int, error) {
	return ask(addr, func(key string) string { return "get " + key + "\r\n" }, "x", "END", "SERVER_ERROR")
}

// fillStore puts all keys into redis.
func fillStore(addr string) error {
	n, err := ask(addr, func(key string) string {
		return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n", len(key), key)
	}, "+OK", "+OK", "-")
	if err == nil && n != keys {
		err = fmt.Errorf("%d of %d keys were stored in redis", n, keys)
	}
	return err
}

// answers tells whether something accepts connections at an address.
func answers(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
