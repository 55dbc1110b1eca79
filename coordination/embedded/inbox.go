package embedded

import (
	"sync"
	"time"
)

// Kinds of items in the inbox.
const (
	itemConnect = iota
	itemRequest
	itemWord   // four-letter word
	itemGone   // the reader has ended: the last item of a connection
	itemUnpark // the writer has caught up
)

// item is what connections send to the loop.
type item struct {
	kind    int
	conn    *conn
	req     *request
	connect connectRequest
	word    string
	cost    int64 // acquired from both budgets
	at      time.Duration
}

// inbox is the one queue to the loop, in order of arrival. Requests in it are bounded by the budgets; the other kinds
// by two a connection.
type inbox struct {
	mu    sync.Mutex
	items []item
	wake  chan struct{} // capacity 1
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (b *inbox) put(it item) {
	b.mu.Lock()
	b.items = append(b.items, it)
	first := len(b.items) == 1
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// take swaps the queue for an empty one, built on spare.
func (b *inbox) take(spare []item) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = spare[:0]
	return items
}
