package logdir

import (
	"testing"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// TestNewLogUnderADeletedName: what the checkpoints said of a deleted log is not taken for true of a new one of its name, after a crash
// before the next periodic checkpoint.
func TestNewLogUnderADeletedName(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, "/d0")
	m := openManager(t, o)
	l, err := m.GetOrCreate(newLog("a", 0))
	must(t, err)
	appendTo(t, l, 10)
	l.UpdateHighWatermark(10)
	_, err = l.IncrementLogStartOffset(7)
	must(t, err)
	kept, err := m.GetOrCreate(newLog("kept", 0))
	must(t, err)
	appendTo(t, kept, 2)
	must(t, m.Close())
	must(t, vfs.WriteFile(mem, "/d0/"+cleanerFile, []byte("0\n2\na 0 9\nkept 0 1\n"), true))

	m = openManager(t, o)
	must(t, m.Delete(tpOf("a", 0)))
	l, err = m.GetOrCreate(newLog("a", 0))
	must(t, err)
	appendTo(t, l, 5)
	cleaned, err := logstore.ReadOffsets(mem, "/d0/"+cleanerFile)
	if err != nil || len(cleaned) != 1 || cleaned[tpOf("kept", 0)] != 1 {
		t.Errorf("the cleaner's checkpoint has %v, %v", cleaned, err)
	}
	must(t, m.Delete(tpOf("kept", 0)))
	if cleaned, err = logstore.ReadOffsets(mem, "/d0/"+cleanerFile); err != nil || len(cleaned) != 0 {
		t.Errorf("the cleaner's checkpoint has %v, %v after the second deletion", cleaned, err)
	}
	m.Abandon()

	m = openManager(t, o)
	l, ok := m.Get(tpOf("a", 0))
	if !ok {
		t.Fatal("the new log is gone")
	}
	if l.LogStartOffset() != 0 || l.LogEndOffset() != 5 {
		t.Errorf("the new log goes from %d to %d, want 0 to 5", l.LogStartOffset(), l.LogEndOffset())
	}
	must(t, m.Close())
}
