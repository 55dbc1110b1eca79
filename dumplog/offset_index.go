package dumplog

import "fmt"

// openIndex opens an index and the segment beside it, the segment first. Apache's tool makes a missing index before it fails on
// that; nothing is made here.
func (d *dumper) openIndex(path, name string, entrySize int) (log *file, x *index, err error) {
	base, err := baseOffset(name)
	if err != nil {
		return nil, nil, err
	}
	if log, err = d.open(sibling(path, name, ".log")); err != nil {
		return nil, nil, err
	}
	f, err := d.open(path)
	if err != nil {
		log.close()
		return nil, nil, err
	}
	return log, &index{file: f, base: base, entrySize: entrySize}, nil
}

// offsetIndex dumps an offset index and compares it with the segment (DumpLogSegments.dumpIndex).
func (d *dumper) offsetIndex(path, name string) error {
	log, x, err := d.openIndex(path, name, offsetEntryBytes)
	if err != nil {
		return err
	}
	defer log.close()
	defer x.close()
	if x.entries() == 0 {
		d.println(path, " is empty.")
		return nil
	}
	if d.o.IndexSanityCheck {
		if err := x.checkOffsets(); err != nil {
			return err
		}
		d.println(path, " passed sanity check.")
		return nil
	}
	for i := range x.entries() {
		if err := d.goOn(); err != nil {
			return err
		}
		e, err := x.offsetEntry(i)
		if err != nil {
			return err
		}
		if e.offset == x.base && i > 0 { // the zeros behind the last entry of an index that was in use
			return nil
		}
		last, err := d.lastOffsetAt(log, e.position)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if last != e.offset {
			if err := d.offsetMismatches.add(path, e.offset, last); err != nil {
				return err
			}
		}
		if !d.o.VerifyIndexOnly {
			d.printf("offset: %d position: %d\n", e.offset, e.position)
		}
	}
	return nil
}

// lastOffsetAt is the last offset of the batch at a position.
func (d *dumper) lastOffsetAt(log *file, position int32) (int64, error) {
	batches, err := log.slice(position, d.o.MaxMessageSize)
	if err != nil {
		return 0, err
	}
	b, ok, err := batches.next()
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("no whole batch of at most %d bytes at position %d of %s", d.o.MaxMessageSize, position, log.path)
	}
	return b.lastOffset()
}

// checkOffsets is OffsetIndex.sanityCheck, of an index that is not empty.
func (x *index) checkOffsets() error {
	last, err := x.offsetEntry(x.entries() - 1)
	if err != nil {
		return err
	}
	abs, err := absolutePath(x.path)
	switch {
	case err != nil:
		return err
	case last.offset < x.base:
		return javaErrorf("Corrupt index found, index file %s has non-zero size but the last offset is %d which is less than the base offset %d",
			abs, last.offset, x.base)
	case x.size%offsetEntryBytes != 0:
		return javaErrorf("Index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d", abs, x.size, offsetEntryBytes)
	}
	return nil
}
