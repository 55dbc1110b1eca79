package harness

import (
	"fmt"
	"net"
)

// FreePorts finds n TCP ports that nobody listens on now, all different. Someone else may take one before its user
// binds it; the callers' readiness checks then fail with the program's own message.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all stay open until the last is found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
