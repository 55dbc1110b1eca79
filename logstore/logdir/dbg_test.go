package logdir
import ("testing";"fmt";"time";"gokafka/internal/vfs";"gokafka/logstore")
func TestDbg(t *testing.T){
	for range 3 {
	dir := t.TempDir()
	o := testOptions(vfs.OS(), dir)
	m := openManager(t, o)
	d := m.dirs[0]
	t0 := time.Now()
	var logs []*logstore.Log
	for p := range 1000 { j := &job{NewLog: newLog("t", p), dir: d}; m.stage(j); must(t, j.err); logs = append(logs, j.log) }
	fmt.Println("stage 1000", time.Since(t0)); t0 = time.Now()
	must(t, logstore.SyncStaged(o.FS, dir, logs))
	fmt.Println("sync", time.Since(t0)); t0 = time.Now()
	for _, l := range logs { must(t, l.Commit()) }
	fmt.Println("commit", time.Since(t0)); t0 = time.Now()
	m.Close()
	}
}
