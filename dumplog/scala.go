package dumplog

import (
	"sort"
	"unicode/utf16"
)

// scalaHash gives the order in which scala.collection.mutable.HashMap and HashSet of Scala 2.13 iterate: by bucket of a table whose
// size is a power of 2 from 16 on; in a bucket by hash, equal ones as they came.
type scalaHash struct {
	size    int // of the table; 0 is 16
	entries []hashed
}

type hashed struct {
	index int
	hash  int32
}

// grow makes room for one more element, as each that is added by itself does: the table stays a third larger than what is in it.
func (h *scalaHash) grow() {
	h.size = max(h.size, 16)
	if len(h.entries)+1 >= h.size/4*3 {
		h.size *= 2
	}
}

// hint makes room for a set of n elements, whatever is in the table already (HashSet.sizeHint).
func (h *scalaHash) hint(n int) {
	h.size = max(h.size, 16)
	for h.size < (n+1)*4/3 {
		h.size *= 2
	}
}

// put adds the element with an index, whose hashCode is code, to the table as it is.
func (h *scalaHash) put(index int, code int32) {
	h.entries = append(h.entries, hashed{index: index, hash: code ^ int32(uint32(code)>>16)})
}

// order are the indexes of the elements.
func (h *scalaHash) order() []int {
	sort.SliceStable(h.entries, func(i, j int) bool {
		a, b := h.entries[i].hash, h.entries[j].hash
		if x, y := int(a)&(h.size-1), int(b)&(h.size-1); x != y {
			return x < y
		}
		return a < b
	})
	out := make([]int, len(h.entries))
	for i, e := range h.entries {
		out[i] = e.index
	}
	return out
}

// javaHash is String.hashCode.
func javaHash(s string) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(u)
	}
	return h
}
