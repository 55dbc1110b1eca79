package samefiles

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"strings"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/wire"
)

// comparison is what two directories have in common and what not.
type comparison struct {
	// Same counts files that are equal, by kind; Bytes are theirs.
	Same  map[string]int
	Bytes int64
	// LeftOut counts files that are not compared, by reason.
	LeftOut map[string]int
	// Differences say file by file what is not the same.
	Differences []string
}

// compare compares two directories at rest.
func compare(apache, gokafka datadir.Dir, clean bool) (*comparison, error) {
	c := &comparison{Same: map[string]int{}, LeftOut: map[string]int{}}
	a, err := names(apache)
	if err != nil {
		return nil, err
	}
	g, err := names(gokafka)
	if err != nil {
		return nil, err
	}
	st := &state{clean: clean, last: map[string]bool{}}
	last := ""
	for _, n := range a.order {
		if path.Ext(n) == ".log" {
			if last != "" && path.Dir(last) != path.Dir(n) {
				st.last[last] = true
			}
			last = strings.TrimSuffix(n, ".log")
		}
	}
	st.last[last] = true
	for _, n := range a.order {
		if why := st.leftOut(n); why != "" {
			c.LeftOut[why]++
			continue
		}
		if g.path[n] == "" {
			c.Differences = append(c.Differences, n+": Apache has it, gokafka has not")
			continue
		}
		if err := c.file(n, apache.Path(a.path[n]), gokafka.Path(g.path[n]), st); err != nil {
			return nil, err
		}
	}
	for _, n := range g.order {
		if a.path[n] == "" && st.leftOut(n) == "" {
			c.Differences = append(c.Differences, n+": gokafka has it, Apache has not")
		}
	}
	return c, nil
}

// listing maps names without what is random to paths.
type listing struct {
	order []string
	path  map[string]string
}

func names(d datadir.Dir) (*listing, error) {
	files, err := d.Files()
	if err != nil {
		return nil, err
	}
	l := &listing{path: map[string]string{}}
	for _, f := range files {
		n := fileName(f)
		if l.path[n] != "" {
			return nil, fmt.Errorf("%s: %s and %s", d, l.path[n], f)
		}
		l.path[n] = f
		l.order = append(l.order, n)
	}
	return l, nil
}

func (c *comparison) file(name, apache, gokafka string, st *state) error {
	a, err := os.ReadFile(apache)
	if err != nil {
		return err
	}
	g, err := os.ReadFile(gokafka)
	if err != nil {
		return err
	}
	a, g = canonical(name, a), canonical(name, g)
	if st.reserved(name) {
		a, g = bytes.TrimRight(a, "\x00"), bytes.TrimRight(g, "\x00")
	}
	if bytes.Equal(a, g) {
		c.Same[kind(name)]++
		c.Bytes += int64(len(a))
		return nil
	}
	c.Differences = append(c.Differences, fmt.Sprintf("%s: Apache %d bytes, gokafka %d\n%s", name, len(a), len(g), explain(name, a, g)))
	return nil
}

func kind(name string) string {
	if e := path.Ext(name); path.Dir(name) != "." && e != "" && e != ".metadata" {
		return e
	}
	return path.Base(name)
}

// explain shows the first place where two files differ, in the terms of their kind.
func explain(name string, a, g []byte) string {
	at := 0
	for at < len(a) && at < len(g) && a[at] == g[at] {
		at++
	}
	show := func(entry int) string {
		i := at / entry
		cut := func(b []byte) []byte { return b[min(i*entry, len(b)):min((i+1)*entry, len(b))] }
		return fmt.Sprintf("  entry %d of %d and %d\n    Apache  %x\n    gokafka %x", i, len(a)/entry, len(g)/entry, cut(a), cut(g))
	}
	switch path.Ext(name) {
	case ".index":
		return show(8)
	case ".timeindex":
		return show(12)
	case ".txnindex":
		return show(34)
	case ".log":
		return fmt.Sprintf("  at byte %d\n    Apache  %s\n    gokafka %s", at, batchAt(a, at), batchAt(g, at))
	case ".snapshot":
		return fmt.Sprintf("  at byte %d\n    Apache  %x\n    gokafka %x", at, a, g)
	}
	return fmt.Sprintf("  Apache  %.2000q\n  gokafka %.2000q", a, g)
}

// batchAt describes the batch that holds a position.
func batchAt(b []byte, at int) string {
	for _, s := range split(b) {
		if at < s.at+s.size {
			h := b[s.at:]
			return fmt.Sprintf("batch at %d: offset %d, %d bytes, epoch %d, attributes %#x, %d records, times %d to %d, producer %d epoch %d sequence %d; first byte that differs is %d of the batch: %x",
				s.at, binary.BigEndian.Uint64(h), s.size, int32(binary.BigEndian.Uint32(h[wire.PosLeaderEpoch:])), binary.BigEndian.Uint16(h[wire.PosAttributes:]),
				binary.BigEndian.Uint32(h[wire.PosCount:]), int64(binary.BigEndian.Uint64(h[wire.PosBaseTimestamp:])), int64(binary.BigEndian.Uint64(h[wire.PosMaxTimestamp:])),
				int64(binary.BigEndian.Uint64(h[wire.PosProducerID:])), int16(binary.BigEndian.Uint16(h[wire.PosProducerEpoch:])),
				int32(binary.BigEndian.Uint32(h[wire.PosBaseSequence:])), at-s.at, b[at:min(at+16, len(b))])
		}
	}
	return fmt.Sprintf("ends at %d", len(b))
}
