package logstore

import (
	"fmt"

	"gokafka/producerstate"
	"gokafka/record"
)

// tailBytes is how much of a log's end is looked at for the last batches of its producers after an unclean shutdown: more than producers
// with five batches of the largest size in flight have there, and little beside the recovery that was just made.
const tailBytes = 16 << 20

// widen lets the producers' state remember five batches of each producer again, not only the one that the snapshot at the log end has: they may have been in
// flight when the broker was killed, and will come again.
func (p *producers) widen(segs []*segment) error {
	if p.state.IsEmpty() {
		return nil
	}
	first, left := len(segs), int64(tailBytes)
	for first > 0 && left > 0 {
		first--
		left -= segs[first].size.Load()
	}
	t := producerstate.NewTail()
	for i, s := range segs[first:] {
		from := int64(0)
		if i == 0 && left < 0 {
			entry, pos, err := s.offsets.lookupPosition(-left)
			if err != nil {
				return err
			}
			if ok, err := s.entryAt(entry, pos); err != nil {
				return err
			} else if ok {
				from = pos
			}
		}
		if err := p.tail(s, from, t); err != nil {
			return err
		}
	}
	p.state.Widen(t)
	return nil
}

// tail adds the batches of a segment from position from on.
func (p *producers) tail(s *segment, from int64, t *producerstate.Tail) error {
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	buf := s.env.buffers.getScan()
	defer s.env.buffers.putScan(buf)
	sc := newScanner(f, from, s.size.Load(), *buf)
	for {
		in, ok, err := sc.next()
		switch {
		case isCorrupt(err): // an index that does not match; what is known is enough
			p.logger.Warn("the end of the log could not be read for the last batches of its producers", "file", s.path(logSuffix), "err", err)
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", s.path(logSuffix), err)
		case !ok:
			return nil
		}
		if in.magic >= 2 {
			t.Add(record.Batch(sc.header))
		}
	}
}
