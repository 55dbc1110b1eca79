package logstore

import (
	"testing"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// The index files of a log that is made with others come with its first flush, roll or close, durably; a crash before loses nothing.
func TestIndexesOfStagedLogs(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(l *Log) error
	}{{"flush", func(l *Log) error { return l.Flush(true) }}, {"second flush", func(l *Log) error {
		if err := l.Flush(false); err != nil {
			return err
		}
		return l.Flush(true)
	}}, {"roll", func(l *Log) error {
		if err := l.Roll(); err != nil {
			return err
		}
		return l.Flush(true)
	}}, {"close", (*Log).Close}} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			o := testOptions(mem, topicConfig())
			l, err := OpenStaged(o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := SyncStaged(mem, "/", []*Log{l}); err != nil {
				t.Fatal(err)
			}
			if err := l.Commit(); err != nil {
				t.Fatal(err)
			}
			there := func(fs vfs.FS, suffix string) bool {
				t.Helper()
				ok, err := vfs.Exists(fs, l.dir.path(offsetName(0, suffix)))
				if err != nil {
					t.Fatal(err)
				}
				return ok
			}
			if !there(mem, logSuffix) || there(mem, indexSuffix) || there(mem, timeSuffix) {
				t.Error("a new log is to have its segment and no index yet")
			}
			if _, err := l.AppendAsLeader(specBatch(t, record.NewBatchSpec(), 3, 20, o.Clock.NowMs()), AppendOptions{}); err != nil {
				t.Fatal(err)
			}
			end := func(fs vfs.FS) int64 {
				t.Helper()
				again := o
				again.FS = fs
				l := openLog(t, again)
				defer l.Close()
				return l.LogEndOffset()
			}
			if got := end(mem.CrashClone(vfs.CrashOptions{KeepUnsynced: true})); got != 3 {
				t.Errorf("after a kill before its indexes were made the log ends at %d", got)
			}
			if err := c.do(l); err != nil {
				t.Fatal(err)
			}
			crashed := mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true})
			if !there(crashed, indexSuffix) || !there(crashed, timeSuffix) {
				t.Errorf("after the %s a power failure leaves no indexes", c.name)
			}
			if got := end(crashed); got != 3 {
				t.Errorf("after the %s and a power failure the log ends at %d", c.name, got)
			}
		})
	}
}
