package logstore

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// counting counts the files that are open, and refuses to open more than max.
type counting struct {
	vfs.FS
	open, most atomic.Int64
	max        int64
}

type countedFile struct {
	vfs.File
	fs     *counting
	closed atomic.Bool
}

func (c *counting) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	n := c.open.Add(1)
	if c.max > 0 && n > c.max {
		c.open.Add(-1)
		return nil, fmt.Errorf("open %s: %w", name, syscall.EMFILE)
	}
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		c.open.Add(-1)
		return nil, err
	}
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return &countedFile{File: f, fs: c}, nil
}

func (f *countedFile) Close() error {
	if !f.closed.Swap(true) {
		f.fs.open.Add(-1)
	}
	return f.File.Close()
}

// manyLogs are logs with some segments each, written through, that share a limit.
func manyLogs(t *testing.T, fs vfs.FS, files *Files, n int) []*Log {
	t.Helper()
	var logs []*Log
	for i := range n {
		o := testOptions(fs, topicConfig())
		o.Dir, o.Files = fmt.Sprintf("/d/t-%d", i), files
		o.Config.SegmentBytes, o.Config.IndexIntervalBytes = 400, 1
		o.TopicPartition.Partition = int32(i)
		l := openLog(t, o)
		t.Cleanup(func() { l.Close() })
		for range 10 {
			if _, err := l.AppendAsLeader(specBatch(t, record.NewBatchSpec(), 2, 30, o.Clock.NowMs()), AppendOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(true); err != nil {
			t.Fatal(err)
		}
		l.UpdateHighWatermark(l.LogEndOffset())
		logs = append(logs, l)
	}
	return logs
}

func readThrough(t *testing.T, l *Log) {
	t.Helper()
	for off := int64(0); off < l.LogEndOffset(); {
		r, err := l.Read(off, 1<<20, LogEnd, true)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		r.Range.Release()
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil {
				t.Fatal(err)
			}
			off, buf = b.LastOffset()+1, rest
		}
		if _, _, err := l.OffsetForTimestamp(off); err != nil {
			t.Fatal(err)
		}
	}
}

// A consumer that reads many partitions from the beginning opens each of their segments and indexes; they do not all stay open.
func TestOpenFilesAreCapped(t *testing.T) {
	const limit = 24
	fs := &counting{FS: vfs.NewMem()}
	files := NewFiles(limit)
	logs := manyLogs(t, fs, files, 40)
	segments := 0
	for _, l := range logs {
		segments += l.SegmentCount()
	}
	if segments < 5*limit {
		t.Fatal("too few segments to show anything:", segments)
	}
	for range 3 {
		for _, l := range logs {
			readThrough(t, l)
		}
	}
	// What one read holds comes on top, and files that are opened for a moment to be written or synced.
	if most := fs.most.Load(); most > limit+8 {
		t.Errorf("%d files were open at once, the limit is %d", most, limit)
	}
	if !files.Trim() || files.Over() != 0 {
		t.Error("everything is synced and nothing in use, and still over the limit by", files.Over())
	}
}

// A file with unsynced writes stays open: the system tells of a write that failed later only to those who had it open.
func TestUnsyncedFilesStayOpen(t *testing.T) {
	fs := &counting{FS: vfs.NewMem()}
	files := NewFiles(2)
	logs := manyLogs(t, fs, files, 6)
	for _, l := range logs {
		if _, err := l.AppendAsLeader(specBatch(t, record.NewBatchSpec(), 1, 30, l.clock.NowMs()), AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first look only takes the marks of use away
		if files.Trim() {
			t.Fatal("files with unsynced writes were closed")
		}
	}
	select {
	case <-files.Pressed():
	default:
		t.Error("nobody is asked to flush")
	}
	for _, l := range logs {
		if l.active().handle.file == nil {
			t.Errorf("%s: the active segment was closed before its sync", l.tp)
		}
		if err := l.Flush(true); err != nil {
			t.Fatal(err)
		}
	}
	if !files.Trim() {
		t.Error("over the limit by", files.Over(), "after the flush")
	}
}

// A process that runs out of descriptors closes what it does not use; if that is not enough, requests fail, but no log goes offline.
func TestNoDescriptorLeft(t *testing.T) {
	fs := &counting{FS: vfs.NewMem()}
	files := NewFiles(1 << 20)
	logs := manyLogs(t, fs, files, 20)
	for _, l := range logs {
		l.active().handle.closeUnused()
	}
	for _, l := range logs[:10] {
		readThrough(t, l)
	}
	fs.max = fs.open.Load() // none left
	for _, l := range logs {
		readThrough(t, l)
	}
	held := fs.max
	fs.max = 1
	files.closeSome(0, 1<<20)
	files.closeSome(0, 1<<20)
	f, err := fs.OpenFile(logs[0].active().path(logSuffix), 0, 0) // somebody else has it
	if err != nil {
		t.Fatal(err, held)
	}
	_, err = logs[1].Read(0, 1<<20, LogEnd, true)
	if !errors.Is(err, kerr.KafkaStorageError) || !IsShortage(err) {
		t.Errorf("a read without a descriptor: %v", err)
	}
	f.Close()
	fs.max = 0
	if logs[1].Offline() {
		t.Fatal("the log went offline")
	}
	readThrough(t, logs[1])
}
