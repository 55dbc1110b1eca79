package coordination

import (
	"context"
	"sync"

	"github.com/go-zookeeper/zk"
)

// WatchKind is what a watch is about.
type WatchKind uint8

const (
	// WatchData is about data, creation and deletion of a znode. Armed by GetW if the node exists, by ExistsW always.
	WatchData WatchKind = iota
	// WatchChildren is about the names of a znode's children, and its deletion. Armed by ChildrenW.
	WatchChildren
)

type watchKey struct {
	path string // without the chroot
	kind WatchKind
}

// watchTable knows which watches of a Generation are armed. The library keeps an entry for each armed read until it
// fires, so a second read of the same node must not arm again, or its memory would grow with every read.
type watchTable struct {
	mu      sync.Mutex // guards the rest
	entries map[watchKey]*watchEntry
	armedN  int
}

type watchEntry struct {
	armed  bool
	arming int    // reads under way that will arm it
	fires  uint64 // since the entry was made
}

// begin says whether a read of k should arm the watch, and returns the ticket for end.
func (t *watchTable) begin(k watchKey) (arm bool, ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	if e == nil {
		e = &watchEntry{}
		t.entries[k] = e
	}
	if e.armed {
		return false, 0
	}
	e.arming++
	return true, e.fires
}

// end records whether the read armed the watch. If the watch fired since begin it is not taken as armed, because the
// event may have overtaken the answer on its way to the caller; at worst the next read arms it a second time.
func (t *watchTable) end(k watchKey, ticket uint64, armed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	e.arming--
	if armed && e.fires == ticket && !e.armed {
		e.armed = true
		t.armedN++
	}
	t.drop(k, e)
}

func (t *watchTable) fire(k watchKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	if e == nil {
		return
	}
	e.fires++
	if e.armed {
		e.armed = false
		t.armedN--
	}
	t.drop(k, e)
}

func (t *watchTable) drop(k watchKey, e *watchEntry) {
	if !e.armed && e.arming == 0 {
		delete(t.entries, k)
	}
}

func (t *watchTable) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries) > 0
}

// firedKeys are the watches that an event of the library ends. A deletion ends both kinds.
func firedKeys(ev zk.EventType, path string) []watchKey {
	switch ev {
	case zk.EventNodeCreated, zk.EventNodeDataChanged:
		return []watchKey{{path, WatchData}}
	case zk.EventNodeChildrenChanged:
		return []watchKey{{path, WatchChildren}}
	case zk.EventNodeDeleted:
		return []watchKey{{path, WatchData}, {path, WatchChildren}}
	}
	return nil
}

// Watch is a registered handler.
type Watch struct {
	d      *dispatcher
	key    watchKey
	f      func()
	queued bool // on dispatcher.dirty; guarded by dispatcher.mu
	gone   bool // guarded by dispatcher.mu
}

// Stop removes the handler. A call of it that has begun may still be running when Stop returns; none begins after.
func (w *Watch) Stop() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.gone = true
	ws := w.d.handlers[w.key]
	for i, x := range ws {
		if x == w {
			ws = append(ws[:i:i], ws[i+1:]...)
			break
		}
	}
	if len(ws) == 0 {
		delete(w.d.handlers, w.key)
	} else {
		w.d.handlers[w.key] = ws
	}
}

// dispatcher calls handlers in the order in which their watches fired. A handler is on the list at most once, so
// events that come faster than handlers run are merged, and the list is never longer than the number of handlers.
type dispatcher struct {
	mu       sync.Mutex // guards handlers, dirty and the flags of every Watch; never held over a handler
	handlers map[watchKey][]*Watch
	dirty    []*Watch
	wake     chan struct{} // capacity 1
}

func newDispatcher() *dispatcher {
	return &dispatcher{handlers: make(map[watchKey][]*Watch), wake: make(chan struct{}, 1)}
}

func (d *dispatcher) add(k watchKey, f func()) *Watch {
	w := &Watch{d: d, key: k, f: f}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[k] = append(d.handlers[k], w)
	return w
}

// mark is called from the library's receiver and must not block.
func (d *dispatcher) mark(k watchKey) {
	d.mu.Lock()
	for _, w := range d.handlers[k] {
		if !w.queued {
			w.queued = true
			d.dirty = append(d.dirty, w)
		}
	}
	n := len(d.dirty)
	d.mu.Unlock()
	if n > 0 {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

func (d *dispatcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		}
		for f := d.pop(); f != nil && ctx.Err() == nil; f = d.pop() {
			f()
		}
	}
}

// pop takes the next handler off the list. From here on a new event queues it again.
func (d *dispatcher) pop() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.dirty) > 0 {
		w := d.dirty[0]
		d.dirty[0] = nil
		d.dirty = d.dirty[1:]
		w.queued = false
		if !w.gone {
			return w.f
		}
	}
	d.dirty = nil
	return nil
}
