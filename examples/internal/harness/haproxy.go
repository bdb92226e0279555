package harness

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// AskHAProxy sends a command to one of HAProxy's sockets and returns the reply.
func AskHAProxy(socket, command string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+";quit\n"); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

// HAProxyServers asks an HAProxy at its stats socket for the servers of a backend, by name, and what it makes of each:
// "UP" and "DOWN" by its own checks, "DRAIN", "MAINT" and others.
func HAProxyServers(socket, backend string) (map[string]string, error) {
	reply, err := AskHAProxy(socket, "show stat "+backend+" 4 -1") // 4: servers
	if err != nil {
		return nil, err
	}
	rows := csv.NewReader(strings.NewReader(strings.TrimSpace(strings.TrimPrefix(reply, "# "))))
	rows.FieldsPerRecord = -1
	table, err := rows.ReadAll()
	if err != nil || len(table) == 0 {
		return nil, fmt.Errorf("statistics of HAProxy: %w: %s", err, reply)
	}
	column := map[string]int{}
	for i, name := range table[0] {
		column[name] = i
	}
	servers := map[string]string{}
	for _, row := range table[1:] {
		servers[row[column["svname"]]] = row[column["status"]]
	}
	return servers, nil
}

// HAProxyReloads asks an HAProxy at its master socket how often it has been reloaded.
func HAProxyReloads(master string) (int, error) {
	reply, err := AskHAProxy(master, "show proc")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(reply) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "master" {
			return strconv.Atoi(f[2])
		}
	}
	return 0, fmt.Errorf("HAProxy's master shows no process of its own: %s", reply)
}
