package record

// FindTimestamp finds the first record of a whole batch of any magic, as NextAny cuts it off, whose timestamp is at or above ts and whose
// offset is at or above start. A compressed batch of magic 2 is streamed, an older wrapper may unpack to 64 MiB. Errors are as of IterateAny
// (Kafka 3.9 FileRecords.searchForTimestamp).
func (c *Codecs) FindTimestamp(raw []byte, ts, start int64) (timestamp, offset int64, ok bool, err error) {
	var r Record
	var it interface {
		Next(*Record) bool
		Err() error
	}
	if b := Batch(raw); raw[offMagic] >= 2 && b.Codec() != None {
		s, err := c.scan(b, defaultMaxWalkBytes)
		if err != nil {
			return 0, 0, false, err
		}
		defer s.close()
		it = s
	} else {
		c.enter()
		defer c.leave()
		buf := c.buffer()
		defer c.recycle(buf)
		a, block, err := c.IterateAny(raw, *buf, defaultMaxRebuildBytes)
		*buf = block
		if err != nil {
			return 0, 0, false, err
		}
		it = &a
	}
	for it.Next(&r) {
		if r.Timestamp >= ts && r.Offset >= start {
			return r.Timestamp, r.Offset, true, nil
		}
	}
	return 0, 0, false, it.Err()
}
