package dumplog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gokafka/record"
)

// log dumps a segment, or a snapshot of KRaft's, which has the same form (DumpLogSegments.dumpLog).
func (d *dumper) log(path, name string) error {
	parse, err := d.parser()
	if err != nil {
		return err
	}
	if err := d.logTitle(name); err != nil {
		return err
	}
	f, err := d.open(path)
	if err != nil {
		return err
	}
	defer f.close()
	batches, err := f.slice(0, d.o.MaxBytes)
	if err != nil {
		return err
	}
	l := &logDump{d: d, path: path, lastOffset: -1, parse: parse}
	for {
		if err := d.goOn(); err != nil {
			return err
		}
		b, ok, err := batches.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := l.batch(&b); err != nil {
			return err
		}
	}
	if rest := batches.end - batches.pos; rest > 0 && d.o.MaxBytes == NoMaxBytes {
		d.printf("Found %d invalid bytes at the end of %s\n", rest, name)
	}
	return nil
}

func (d *dumper) logTitle(name string) error {
	switch {
	case strings.HasSuffix(name, ".log"):
		offset, err := baseOffset(name)
		if err != nil {
			return err
		}
		d.printf("Log starting offset: %d\n", offset)
	case name == "bootstrap.checkpoint":
		d.println("KRaft bootstrap snapshot")
	default: // 20 digits of the end offset, a dash, 10 digits of the epoch
		if len(name) < 31 {
			return errors.New("the file name is not that of a snapshot")
		}
		offset, err := strconv.ParseInt(name[:20], 10, 64)
		if err != nil {
			return fmt.Errorf("the file name is not that of a snapshot: %w", err)
		}
		epoch, err := strconv.ParseInt(name[21:31], 10, 32)
		if err != nil {
			return fmt.Errorf("the file name is not that of a snapshot: %w", err)
		}
		d.printf("Snapshot end offset: %d, epoch: %d\n", offset, epoch)
	}
	return nil
}

// logDump is the dump of one segment.
type logDump struct {
	d          *dumper
	path       string
	lastOffset int64 // of the record before; -1 at the start, and after a record with this offset
	parse      parser
}

func (l *logDump) batch(b *batch) error {
	if err := l.d.batchLine(b); err != nil {
		return fmt.Errorf("batch at position %d: %w", b.pos, err)
	}
	if !l.d.o.DeepIteration && !l.d.o.printsData() {
		return nil
	}
	if err := l.d.records(b, func(e *entry) error { return l.record(b, e) }); err != nil {
		return fmt.Errorf("batch at position %d: %w", b.pos, err)
	}
	return nil
}

// batchLine prints the line of a batch, in as many pieces as Apache's tool (printBatchLevel): what one piece cannot tell ends it.
func (d *dumper) batchLine(b *batch) error {
	if b.isLegacy() {
		offset, err := b.lastOffset()
		if err != nil {
			return err
		}
		d.printf("offset: %d", offset)
	}
	if err := b.load(); err != nil {
		return err
	}
	if h := b.header; h != nil {
		d.printf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d"+
			" partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s",
			h.BaseOffset(), h.LastOffset(), h.Count(), h.BaseSequence(), h.LastSequence(), h.ProducerID(), h.ProducerEpoch(),
			h.LeaderEpoch(), h.IsTransactional(), h.IsControl(), optional(h.BaseTimestamp(), h.HasDeleteHorizon()))
	}
	codec := b.codec()
	if !codec.Known() {
		return javaErrorf("Unknown compression type id: %d", codec)
	}
	valid, err := b.isValid()
	if err != nil {
		return err
	}
	d.printf(" position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		b.pos, b.timestampType(), b.maxTimestamp(), b.size, b.magic, codec, b.crc(), valid)
	return nil
}

func (l *logDump) record(b *batch, e *entry) error {
	if err := l.follows(e.offset); err != nil {
		return err
	}
	d := l.d
	prefix := recordIndent
	if e.noRoom && (!d.o.SkipRecordMetadata || d.o.printsData()) {
		return fmt.Errorf("record at offset %d: %w", e.offset, errNoRoom)
	}
	if !d.o.SkipRecordMetadata {
		d.printf("%soffset: %d %s: %d keySize: %d valueSize: %d", prefix, e.offset, b.timestampType(), e.timestamp, e.key.size, e.value.size)
		prefix = " "
		if e.record != nil {
			d.print(" sequence: ", strconv.Itoa(int(e.sequence)), " headerKeys: [", headerKeys(e.record), "]")
		} else {
			d.printf(" isValid: %t crc: %d}", e.isValid, e.message.CRC())
		}
		if b.isControl() {
			if err := d.control(e); err != nil {
				return err
			}
		}
	}
	if d.o.printsData() && !b.isControl() {
		if err := d.content(prefix, e, l.parse); err != nil {
			return err
		}
	}
	d.println()
	return nil
}

// follows remembers a gap between records.
func (l *logDump) follows(offset int64) error {
	if l.lastOffset != -1 && offset != l.lastOffset+1 {
		if err := l.d.nonConsecutive.add(l.path, l.lastOffset, offset); err != nil {
			return err
		}
	}
	l.lastOffset = offset
	return nil
}

func headerKeys(r *record.Record) string {
	var keys []string
	for h := range r.Headers() {
		keys = append(keys, javaText(h.Key))
	}
	return strings.Join(keys, ",")
}

func (d *dumper) content(prefix string, e *entry, parse parser) error {
	c, err := parse(e)
	if err != nil {
		return fmt.Errorf("record at offset %d: %w", e.offset, err)
	}
	if c.hasKey {
		d.print(prefix, "key: ", c.key)
	}
	if c.hasValue {
		d.print(" payload: ", c.value)
	}
	return nil
}
