package coordination

import (
	"errors"
	"sync"
)

// hosts hands the library its servers in turn. The stock provider asks for a pause of one second before the first and
// only server is tried again; this one never does while the Generation lives (dialer.dial paces the tries itself).
//
// Once the Generation is over it always asks for that pause, because it is the only place where the library's
// connection loop looks for Close, and because the loop then fails what is queued instead of keeping it for a session
// that will never be.
type hosts struct {
	over func() bool

	mu      sync.Mutex // guards the rest
	servers []string
	next    int
	tries   int // since the last established connection
}

func (h *hosts) Init(servers []string) error {
	if len(servers) == 0 {
		return errors.New("coordination: no servers")
	}
	h.servers = servers
	return nil
}

func (h *hosts) Len() int { return len(h.servers) }

func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.servers[h.next]
	h.next = (h.next + 1) % len(h.servers)
	h.tries++
	return server, h.over()
}

// Connected is called when a session was established or resumed.
func (h *hosts) Connected() {
	h.mu.Lock()
	h.tries = 0
	h.mu.Unlock()
}

// rounds is how many times all servers were tried in vain since the last connection.
func (h *hosts) rounds() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return (h.tries - 1) / len(h.servers)
}
