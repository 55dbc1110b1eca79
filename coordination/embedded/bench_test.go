package embedded

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"gokafka/internal/vfs"
)

func benchClient(b *testing.B, s *Server, tcp bool) *zk.Conn {
	if !tcp {
		return client(b, s, 30*time.Second)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(l)
	c, events, err := zk.Connect([]string{l.Addr().String()}, 30*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return c
}

func pipelined(b *testing.B, depth int, op func(i int) error) {
	b.ResetTimer()
	var wg sync.WaitGroup
	next := make(chan int, depth)
	for range depth {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				if err := op(i); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkCreate(b *testing.B) {
	data := make([]byte, 100)
	for _, depth := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			s := open(b, vfs.OS(), Options{Dir: b.TempDir()})
			c := benchClient(b, s, true)
			pipelined(b, depth, func(i int) error {
				_, err := c.Create(fmt.Sprintf("/n%08d", i), data, 0, zk.WorldACL(zk.PermAll))
				return err
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, tcp := range []bool{true, false} {
		for _, depth := range []int{1, 100} {
			b.Run(fmt.Sprintf("tcp=%v/depth=%d", tcp, depth), func(b *testing.B) {
				s := open(b, vfs.OS(), Options{Dir: b.TempDir()})
				c := benchClient(b, s, tcp)
				if _, err := c.Create("/n", make([]byte, 100), 0, zk.WorldACL(zk.PermAll)); err != nil {
					b.Fatal(err)
				}
				pipelined(b, depth, func(int) error {
					_, _, err := c.Get("/n")
					return err
				})
			})
		}
	}
}

// BenchmarkOpen opens 20,000 znodes, from the log alone and from a snapshot.
func BenchmarkOpen(b *testing.B) {
	for _, snapshot := range []bool{false, true} {
		b.Run(fmt.Sprint("snapshot=", snapshot), func(b *testing.B) {
			dir := b.TempDir()
			fill(b, dir, 20_000)
			if snapshot {
				s := open(b, vfs.OS(), Options{Dir: dir})
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				st, rec, err := openStore(vfs.OS(), dir, quiet(), true)
				if err != nil || rec.machine.tree.nodes < 20_000 {
					b.Fatal(err, rec)
				}
				b.StopTimer()
				if err := st.close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// fill writes a log with n nodes of 100 bytes in the shape of Kafka's partitions.
func fill(b testing.TB, dir string, n int) {
	st, rec, err := openStore(vfs.OS(), dir, quiet(), true)
	if err != nil {
		b.Fatal(err)
	}
	m := rec.machine
	var log []byte
	create := func(path string) {
		out := m.apply(&command{req: &request{op: opCreate, path: path, data: make([]byte, 100), acl: openEntries()}}, 1)
		if out.result.code != codeOK {
			b.Fatal(path, out.result.code)
		}
		log = frameRecord(log, out.record)
	}
	for i := 0; m.tree.nodes < n; i++ {
		if i%100 == 0 {
			create(fmt.Sprintf("/t%d", i/100))
		}
		p := fmt.Sprintf("/t%d/%d", i/100, i)
		create(p)
		create(p + "/state")
	}
	if err := st.log.append(log); err != nil {
		b.Fatal(err)
	}
	if err := st.close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSnapshot is what a snapshot of 20,000 znodes costs the loop.
func BenchmarkSnapshot(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 20_000)
	st, rec, err := openStore(vfs.OS(), dir, quiet(), true)
	if err != nil {
		b.Fatal(err)
	}
	defer st.close()
	for b.Loop() {
		b.SetBytes(int64(len(rec.machine.encodeSnapshot(st.id))))
	}
}

// BenchmarkApply is the machine alone.
func BenchmarkApply(b *testing.B) {
	m := newMachine()
	data := make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.apply(&command{req: &request{op: opCreate, path: fmt.Sprintf("/n%08d", i), data: data, acl: openEntries()}}, 1)
	}
}
