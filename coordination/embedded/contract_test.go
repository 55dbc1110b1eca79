package embedded

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"gokafka/internal/vfs"
)

// target is a server the contract suite runs against: ours, or a real ZooKeeper 3.8.4.
type target struct {
	embedded bool
	addr     string
	tick     time.Duration
	// restart kills the server, waits, and starts it again on the same directory.
	restart func(t *testing.T, pause time.Duration)
}

const contractTick = 200 * time.Millisecond

// contract is the list of what clients rely on. Each case makes its own root node.
func contract() map[string]func(*testing.T, *target) {
	cases := map[string]func(*testing.T, *target){}
	for _, group := range []map[string]func(*testing.T, *target){
		contractNodes(), contractMulti(), contractRaw(), contractWatches(), contractSessions(),
	} {
		for name, f := range group {
			cases[name] = f
		}
	}
	return cases
}

func TestContractEmbedded(t *testing.T) { runContract(t, startEmbedded) }

func TestContractRealZooKeeper(t *testing.T) { runContract(t, startZooKeeper) }

// runContract runs all cases beside each other on one server; those that restart it have one of their own.
func runContract(t *testing.T, start func(*testing.T) *target) {
	tg := start(t)
	for name, f := range contract() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, tg)
		})
	}
	for name, f := range contractRestarts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notShort(t)
			f(t, start(t))
		})
	}
}

// startEmbedded serves on TCP, so that both servers are reached in the same way.
func startEmbedded(t *testing.T) *target { return startEmbeddedReaping(t, time.Second) }

// startEmbeddedReaping deletes empty containers at the given interval.
func startEmbeddedReaping(t *testing.T, interval time.Duration) *target {
	fs := vfs.NewMem()
	var s *Server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	serve := func(l net.Listener) {
		s, err = Open(context.Background(), Options{
			FS: fs, Dir: "/data", Logger: quiet(), TickTime: contractTick, MaxConnsPerHost: -1, MaxSessionTimeout: time.Minute,
			ContainerCheckInterval: interval, SuperDigest: digestID([]byte("super:secret")),
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Serve(l)
	}
	serve(l)
	tg := &target{embedded: true, addr: addr, tick: contractTick}
	tg.restart = func(t *testing.T, pause time.Duration) {
		// What a kill leaves is what was synced; the old server must not go on writing to it.
		fs = fs.CrashClone(vfs.CrashOptions{LoseUnsynced: true})
		s.Close()
		time.Sleep(pause)
		serve(listenAgain(t, addr))
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return tg
}

func listenAgain(t *testing.T, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	eventually(t, "port free", func() bool {
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	return l
}

// kafkaLibs finds the jars of Apache Kafka 3.9.1 with ZooKeeper 3.8.4 in the cache, or skips.
func kafkaLibs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GOKAFKA_CACHE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip("no real ZooKeeper: no cache directory:", err)
		}
		dir = filepath.Join(cache, "gokafka")
	}
	libs := filepath.Join(dir, "kafka-3.9.1", "libs")
	if _, err := os.Stat(filepath.Join(libs, "zookeeper-3.8.4.jar")); err != nil {
		t.Skip("no real ZooKeeper: its jar is not in", libs)
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("no real ZooKeeper: no java")
	}
	return libs
}

func startZooKeeper(t *testing.T) *target { return startZooKeeperReaping(t, time.Second) }

// startZooKeeperReaping deletes empty containers at the given interval.
func startZooKeeperReaping(t *testing.T, interval time.Duration) *target {
	if testing.Short() {
		t.Skip("no real ZooKeeper in -short")
	}
	libs := kafkaLibs(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	config := filepath.Join(dir, "zk.properties")
	text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=%d\nmaxSessionTimeout=60000\n"+
		"maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n", filepath.Join(dir, "data"), addr.Port, contractTick.Milliseconds())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	start := func(t *testing.T) {
		cmd = exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
			fmt.Sprintf("-Dznode.container.checkIntervalMs=%d", interval.Milliseconds()), "-Dzookeeper.DigestAuthenticationProvider.superDigest="+digestID([]byte("super:secret")),
			"-cp", libs+"/*", "org.apache.zookeeper.server.ZooKeeperServerMain", config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(time.Minute)
		for {
			if serving(addr.String()) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("ZooKeeper does not start")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	kill := func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	start(t)
	t.Cleanup(kill)
	return &target{addr: addr.String(), tick: contractTick, restart: func(t *testing.T, pause time.Duration) {
		kill()
		time.Sleep(pause)
		start(t)
	}}
}

// serving says whether the server answers: a ZooKeeper opens its port before it can.
func serving(addr string) bool {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write([]byte("srvr")); err != nil {
		return false
	}
	answer, err := io.ReadAll(nc)
	return err == nil && strings.Contains(string(answer), "Mode: standalone")
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out:", what)
		}
	}
}

// zkClient connects go-zookeeper with a session long enough for a loaded machine.
func zkClient(t *testing.T, tg *target) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{tg.addr}, 30*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no session")
		}
	}
}

var open31 = zk.WorldACL(zk.PermAll)

// root makes a fresh node for one case. The counter only names nodes of tests.
func root(t *testing.T, c *zk.Conn) string {
	t.Helper()
	path, err := c.Create(fmt.Sprintf("/c%06d-", rootCount.Add(1)), nil, zk.FlagSequence, open31)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var rootCount atomic.Int64

func mustCreate(t *testing.T, c *zk.Conn, path string, data []byte, flags int32) string {
	t.Helper()
	got, err := c.Create(path, data, flags, open31)
	if err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
	return got
}

func mustStat(t *testing.T, c *zk.Conn, path string) zk.Stat {
	t.Helper()
	ok, st, err := c.Exists(path)
	if err != nil || !ok {
		t.Fatalf("stat of %s: %v %v", path, ok, err)
	}
	return *st
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want && (got == nil || want == nil || got.Error() != want.Error()) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantEvent(t *testing.T, ch <-chan zk.Event, kind zk.EventType, path string) {
	t.Helper()
	select {
	case e := <-ch:
		if e.Type != kind || e.Path != path {
			t.Errorf("got event %v %s, want %v %s", e.Type, e.Path, kind, path)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("no event %v %s", kind, path)
	}
}

// wantSilence makes sure that no event has come, after a round trip that would have been behind it.
func wantSilence(t *testing.T, c *zk.Conn, ch <-chan zk.Event) {
	t.Helper()
	if _, err := c.Sync("/"); err != nil {
		t.Fatal(err)
	}
	select {
	case e, ok := <-ch: // closed once its event has been delivered
		if ok {
			t.Errorf("unexpected event %v %s", e.Type, e.Path)
		}
	default:
	}
}
