package cleaner

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
)

// slotBytes is an MD5 hash and an offset.
const slotBytes = md5.Size + 8

// firstSlots is how many slots a map begins with; it grows to its bound, so that small logs need little memory.
const firstSlots = 1024

// offsetMap has the last offset of each key, by the key's MD5: two keys with one hash are taken for one. Slots are bounded (Kafka 3.9
// SkimpyOffsetMap; the order of its slots is not seen outside).
type offsetMap struct {
	slots    []byte // slotBytes each, all zero = empty
	maxSlots int
	entries  int
	latest   int64
}

func (m *offsetMap) clear(maxSlots int) {
	*m = offsetMap{maxSlots: maxSlots, latest: -1, slots: make([]byte, min(maxSlots, firstSlots)*slotBytes)}
}

var emptySlot [slotBytes]byte

// slot returns the slot of a hash, or the empty one where it belongs.
func (m *offsetMap) slot(hash []byte) []byte {
	n := uint64(len(m.slots) / slotBytes)
	for i := binary.BigEndian.Uint64(hash) % n; ; i = (i + 1) % n {
		s := m.slots[i*slotBytes : (i+1)*slotBytes]
		if bytes.Equal(s[:md5.Size], hash) || bytes.Equal(s, emptySlot[:]) {
			return s
		}
	}
}

// put notes the offset of a key. The caller saw to it that there is a slot: entries is below maxSlots.
func (m *offsetMap) put(key []byte, offset int64) {
	if n := len(m.slots) / slotBytes; n < m.maxSlots && m.entries >= n/4*3 {
		m.grow(min(2*n, m.maxSlots))
	}
	hash := md5.Sum(key)
	s := m.slot(hash[:])
	if bytes.Equal(s, emptySlot[:]) {
		copy(s, hash[:])
		m.entries++
	}
	binary.BigEndian.PutUint64(s[md5.Size:], uint64(offset))
	m.latest = offset
}

func (m *offsetMap) grow(n int) {
	old := m.slots
	m.slots = make([]byte, n*slotBytes)
	for ; len(old) > 0; old = old[slotBytes:] {
		if s := old[:slotBytes]; !bytes.Equal(s, emptySlot[:]) {
			copy(m.slot(s[:md5.Size]), s)
		}
	}
}

// get is the last offset of a key, -1 if it is not in the map.
func (m *offsetMap) get(key []byte) int64 {
	hash := md5.Sum(key)
	if s := m.slot(hash[:]); !bytes.Equal(s, emptySlot[:]) {
		return int64(binary.BigEndian.Uint64(s[md5.Size:]))
	}
	return -1
}
