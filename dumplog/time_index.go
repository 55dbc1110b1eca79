package dumplog

import (
	"errors"
	"fmt"

	"gokafka/record"
)

// timeIndex dumps a time index and compares it with the segment (DumpLogSegments.dumpTimeIndex).
func (d *dumper) timeIndex(path, name string) error {
	log, x, err := d.openIndex(path, name, timeEntryBytes)
	if err != nil {
		return err
	}
	defer log.close()
	defer x.close()
	f, err := d.open(sibling(path, name, ".index"))
	if err != nil {
		return err
	}
	defer f.close()
	offsets := &index{file: f, base: x.base, entrySize: offsetEntryBytes}
	if d.o.IndexSanityCheck {
		if err := x.checkTimestamps(); err != nil {
			return err
		}
		d.println(path, " passed sanity check.")
		return nil
	}
	before := record.NoTimestamp
	for i := range x.entries() {
		if err := d.goOn(); err != nil {
			return err
		}
		e, err := x.timeEntry(i)
		if err != nil {
			return err
		}
		if e.offset == x.base && i > 0 { // the zeros behind the last entry of an index that was in use
			return nil
		}
		if err := d.timeEntry(path, log, offsets, e, before); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if !d.o.VerifyIndexOnly {
			d.printf("timestamp: %d offset: %d\n", e.timestamp, e.offset)
		}
		before = e.timestamp
	}
	return nil
}

// timeEntry compares an entry with the batch that ends with its offset, and with the entry before.
func (d *dumper) timeEntry(path string, log *file, offsets *index, e timeEntry, before int64) error {
	position, err := offsets.lookup(e.offset)
	if err != nil {
		return err
	}
	batches, err := log.slice(position, maxFileBytes)
	if err != nil {
		return err
	}
	b, last, err := find(&batches, e.offset)
	if err != nil {
		return err
	}
	if b == nil || last != e.offset {
		return d.timeNotFound.add(path, e.offset, last)
	}
	highest := record.NoTimestamp
	err = d.records(b, func(r *entry) error {
		highest = max(highest, r.timestamp)
		return nil
	})
	if err != nil {
		return err
	}
	if highest != e.timestamp {
		err = d.timeMismatches.add(path, e.timestamp, highest)
	}
	if before >= e.timestamp {
		err = errors.Join(err, d.timeOutOfOrder.add(path, e.timestamp, before))
	}
	return err
}

// find is the first batch that ends at offset or above, and where it ends; nil and -1 if there is none.
func find(batches *slice, offset int64) (*batch, int64, error) {
	for {
		b, ok, err := batches.next()
		if err != nil || !ok {
			return nil, -1, err
		}
		last, err := b.lastOffset()
		if err != nil {
			return nil, -1, err
		}
		if last >= offset {
			return &b, last, nil
		}
	}
}

// checkTimestamps is TimeIndex.sanityCheck.
func (x *index) checkTimestamps() error {
	first, last := timeEntry{}, timeEntry{timestamp: record.NoTimestamp, offset: x.base}
	abs, err := absolutePath(x.path)
	if n := x.entries(); n > 0 && err == nil {
		if first, err = x.timeEntry(0); err == nil {
			last, err = x.timeEntry(n - 1)
		}
	}
	switch {
	case err != nil:
		return err
	case x.entries() > 0 && last.timestamp < first.timestamp:
		return javaErrorf("Corrupt time index found, time index file (%s) has non-zero size but the last timestamp is %d which is less than the first timestamp %d",
			abs, last.timestamp, first.timestamp)
	case x.entries() > 0 && last.offset < x.base:
		return javaErrorf("Corrupt time index found, time index file (%s) has non-zero size but the last offset is %d which is less than the first offset %d",
			abs, last.offset, x.base)
	case x.size%timeEntryBytes != 0:
		return javaErrorf("Time index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d", abs, x.size, timeEntryBytes)
	}
	return nil
}
