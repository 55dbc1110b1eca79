package dumplog

import (
	"encoding/binary"
	"errors"
	"os"
)

// txnEntryBytes is the size of an aborted transaction: int16 version, then producer id, first, last and last stable offset.
const txnEntryBytes = 34

// txnIndex dumps a transaction index; one that is not there has no entries. All entries are checked before the first is printed
// (DumpLogSegments.dumpTxnIndex, TransactionIndex.allAbortedTxns).
func (d *dumper) txnIndex(path, name string) error {
	if _, err := baseOffset(name); err != nil {
		return err
	}
	f, err := d.open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	for _, print := range []bool{false, true} {
		for at := int64(0); f.size-at >= txnEntryBytes; at += txnEntryBytes {
			b, err := f.peek(at, txnEntryBytes)
			if err != nil {
				return err
			}
			// Kafka looks at the first byte of the version only (AbortedTxn.version).
			version, field := int8(b[0]), func(i int) int64 { return int64(binary.BigEndian.Uint64(b[2+8*i:])) }
			if version > 0 {
				return javaErrorf("Unexpected aborted transaction version %d in transaction index %s, current version is 0", version, path)
			}
			if print {
				d.printf("version: %d producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d\n",
					version, field(0), field(1), field(2), field(3))
			}
		}
	}
	return nil
}
