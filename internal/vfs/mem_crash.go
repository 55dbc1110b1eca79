package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// CrashOptions say what a power failure does to what was not synced.
type CrashOptions struct {
	Seed uint64
	// LoseUnsynced keeps exactly what was synced, KeepUnsynced everything; neither: a random part.
	LoseUnsynced, KeepUnsynced bool
	// UnorderedMetadata lets each unsynced create, rename and remove be lost on its own. Without it they survive in the order in
	// which they were made, up to a random one, as on a journaling file system.
	UnorderedMetadata bool
}

// CrashClone returns the file system as it may be found after a power failure at this moment. The original goes on unharmed.
// Unsynced data survive by pages of 4 KiB, each on its own, a page beyond the synced data that was lost reads as zeros; the
// length of a file is one it has had since its last Sync, or ends at a page in between. Equal seeds and histories give equal clones.
func (m *Mem) CrashClone(o CrashOptions) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &crash{CrashOptions: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), out: NewMem(), made: map[*memNode]*memNode{}}
	c.out.capacity = m.capacity
	first := m.seq
	if oldest := oldestPending(m.root); oldest > 0 {
		first = oldest - 1
	}
	c.cut = first + c.rng.Int64N(m.seq-first+1)
	c.out.root = c.clone(m.root)
	c.out.used = usedBelow(c.out.root)
	return c.out
}

type crash struct {
	CrashOptions
	rng  *rand.Rand
	cut  int64 // seq of the last metadata operation that survives
	out  *Mem
	made map[*memNode]*memNode
}

// oldestPending is the seq of the oldest unsynced metadata operation, 0 for none.
func oldestPending(n *memNode) int64 {
	var oldest int64
	if len(n.pending) > 0 {
		oldest = n.pending[0].seq
	}
	for _, c := range n.children {
		if o := oldestPending(c); o > 0 && (oldest == 0 || o < oldest) {
			oldest = o
		}
	}
	return oldest
}

func usedBelow(n *memNode) int64 {
	sum := int64(len(n.data))
	for _, c := range n.children {
		sum += usedBelow(c)
	}
	return sum
}

func (c *crash) clone(n *memNode) *memNode {
	if done := c.made[n]; done != nil {
		return done
	}
	out := &memNode{mtime: n.mtime}
	c.made[n] = out
	if n.children == nil {
		n.mu.RLock()
		defer n.mu.RUnlock()
		out.data = c.fileData(n)
		out.syncedLen = int64(len(out.data))
		return out
	}
	entries := maps.Clone(n.stable)
	for _, op := range n.pending {
		if !c.survives(op) {
			continue
		}
		if op.unbind != "" && entries[op.unbind] == op.node {
			delete(entries, op.unbind)
		}
		if op.bind != "" {
			entries[op.bind] = op.node
		}
	}
	out.children = make(map[string]*memNode, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) { // sorted: the random choices below must not depend on map order
		out.children[name] = c.clone(entries[name])
	}
	out.stable = maps.Clone(out.children)
	return out
}

func (c *crash) survives(op dirOp) bool {
	switch {
	case c.KeepUnsynced:
		return true
	case c.LoseUnsynced:
		return false
	case c.UnorderedMetadata:
		return c.rng.IntN(2) == 0
	}
	return op.seq <= c.cut
}

func (c *crash) fileData(n *memNode) []byte {
	if c.KeepUnsynced || len(n.sizes) == 0 && len(n.oldPages) == 0 {
		return slices.Clone(n.data)
	}
	fate := c.rng.IntN(4)
	if c.LoseUnsynced {
		fate = 0
	}
	switch fate {
	case 0: // all lost
		out := make([]byte, n.syncedLen)
		c.fill(out, n, func() bool { return false })
		return out
	case 1: // all kept
		return slices.Clone(n.data)
	}
	size := n.syncedLen
	if k := c.rng.IntN(len(n.sizes) + 2); k < len(n.sizes) {
		size = n.sizes[k]
	} else if lo, hi := min(n.syncedLen, int64(len(n.data))), max(n.syncedLen, int64(len(n.data))); k == len(n.sizes) && hi > lo {
		size = min(hi, (lo+c.rng.Int64N(hi-lo))/pageBytes*pageBytes+pageBytes)
	}
	out := make([]byte, size)
	if fate == 2 { // written back up to the length, nothing torn
		c.fill(out, n, func() bool { return true })
	} else {
		c.fill(out, n, func() bool { return c.rng.IntN(3) > 0 })
	}
	return out
}

// fill copies page by page the newest content, where keepNew says so, or the synced one.
func (c *crash) fill(out []byte, n *memNode, keepNew func() bool) {
	for start := int64(0); start < int64(len(out)); start += pageBytes {
		page, end := start/pageBytes, min(start+pageBytes, int64(len(out)))
		old, changed := n.oldPages[page]
		fresh := changed || end > n.syncedLen
		if fresh && !keepNew() {
			if !changed && start < n.syncedLen {
				old = n.data[start:min(end, n.syncedLen, int64(len(n.data)))]
			}
			copy(out[start:end], old)
			continue
		}
		if start < int64(len(n.data)) {
			copy(out[start:end], n.data[start:])
		}
	}
}
