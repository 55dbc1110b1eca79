package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// ZooKeeper is one real ZooKeeper 3.8 server.
type ZooKeeper struct {
	*Process
	Addr string
	conf string
	dir  string
}

// DataDir is where the server keeps its snapshots and its transaction log.
func (z *ZooKeeper) DataDir() string { return filepath.Join(z.dir, "zk-data") }

// NewZooKeeper prepares a server with its data below dir; Start runs it.
func NewZooKeeper(dir string) (*ZooKeeper, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	z := &ZooKeeper{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), conf: filepath.Join(dir, "zk.properties"), dir: dir}
	// tickTime bounds the shortest session at 2 ticks: 1 s here, so that a killed broker's session ends soon.
	text := fmt.Sprintf("dataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%d\ntickTime=500\nmaxClientCnxns=0\n"+
		"admin.enableServer=false\n4lw.commands.whitelist=*\n", filepath.ToSlash(filepath.Join(dir, "zk-data")), ports[0])
	if err := os.MkdirAll(z.DataDir(), 0o755); err != nil {
		return nil, err
	}
	return z, os.WriteFile(z.conf, []byte(text), 0o644)
}

// Start runs the server and waits until it answers "ruok".
func (z *ZooKeeper) Start(ctx context.Context) error {
	libs, err := JavaLibs()
	if err != nil {
		return err
	}
	cmd := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", libs,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", z.conf)
	z.Process, err = StartProcess("ZooKeeper", cmd, filepath.Join(z.dir, "zookeeper.log"))
	if err != nil {
		return err
	}
	if err := poll(ctx, z.Process, z.ask); err != nil {
		z.Kill()
		return fmt.Errorf("%w\n%s", err, z.Tail(4096))
	}
	return nil
}

func (z *ZooKeeper) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", z.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "ruok"); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(c, 64))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(b), "imok") {
		return fmt.Errorf("ruok answered %q", b)
	}
	return nil
}

// AwaitOldSession waits until the registration that a killed broker left in ZooKeeper has ended with its session. An
// Apache broker that finds it exits instead of waiting. Without a real ZooKeeper there is nothing to wait for.
func (b *Broker) AwaitOldSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if b.zkAddr == "" {
		return nil
	}
	addr, chroot, _ := strings.Cut(b.zkAddr, "/")
	conn, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		return err
	}
	defer conn.Close()
	path := fmt.Sprintf("/brokers/ids/%d", b.ID)
	if chroot != "" {
		path = "/" + chroot + path
	}
	for {
		ok, _, gone, err := conn.ExistsW(path)
		if errors.Is(err, zk.ErrNoServer) && ctx.Err() == nil { // it answers "ruok" a moment before it takes sessions
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !ok {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("%s still exists: %w", path, ctx.Err())
		}
	}
}
