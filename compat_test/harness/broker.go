package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// Broker is one broker program with its data directory, started and ended any number of times.
type Broker struct {
	Target Target
	Dir    string
	Port   int
	// ID is broker.id.
	ID int
	// ReadyTimeout bounds one start; 60 s unless set.
	ReadyTimeout time.Duration

	props   map[string]string
	jvm     []string
	proc    *Process
	starts  int
	zk      *ZooKeeper // owned by the broker, nil if none or somebody else's
	zkAddr  string
	program string
}

// Options are what a test wants otherwise than the defaults.
type Options struct {
	// Props are added to server.properties and win over the defaults. {dir} stands for the broker's directory.
	Props map[string]string
	// ZooKeeper is the address of a running ensemble, perhaps with a chroot. Empty: gokafka runs its own coordination, Apache gets a real
	// ZooKeeper that starts before it and stops with Close.
	ZooKeeper string
	ID        int
	// Port is found if zero.
	Port int
	// JVM are options for Apache's JVM, instead of those for a quick start.
	JVM []string
	// Binary is the gokafka program; built from the tree if empty.
	Binary string
}

// NewBroker prepares a broker below dir. Start runs it, Close ends it and what it brought.
func NewBroker(t Target, dir string, o Options) (*Broker, error) {
	if o.Port == 0 {
		ports, err := FreePorts(1)
		if err != nil {
			return nil, err
		}
		o.Port = ports[0]
	}
	b := &Broker{Target: t, Dir: dir, Port: o.Port, ID: o.ID, jvm: o.JVM, zkAddr: o.ZooKeeper, program: o.Binary,
		ReadyTimeout: 60 * time.Second}
	b.props = map[string]string{
		"broker.id":                        fmt.Sprint(o.ID),
		"listeners":                        fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", o.Port),
		"log.dirs":                         filepath.ToSlash(filepath.Join(dir, "data")),
		"offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"group.initial.rebalance.delay.ms":         "0",
		// Long enough for a machine that is short of CPU; what a killed Apache broker's successor waits for.
		"zookeeper.session.timeout.ms": "6000",
	}
	maps.Copy(b.props, o.Props)
	for k, v := range b.props {
		b.props[k] = strings.ReplaceAll(v, "{dir}", filepath.ToSlash(dir))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	switch t {
	case Gokafka:
		if b.program == "" {
			p, err := GokafkaBinary()
			if err != nil {
				return nil, err
			}
			b.program = p
		}
	case Apache:
		if _, err := JavaLibs(); err != nil {
			return nil, err
		}
		if b.zkAddr == "" {
			z, err := NewZooKeeper(dir)
			if err != nil {
				return nil, err
			}
			b.zk, b.zkAddr = z, z.Addr
		}
	}
	return b, nil
}

// Addr is host:port of the broker's only listener.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.Port) }

// Process is the running program, nil before the first start.
func (b *Broker) Process() *Process { return b.proc }

// Set changes one line of server.properties for the next start.
func (b *Broker) Set(key, value string) { b.props[key] = value }

// Launch starts the program and returns at once; the first launch of an Apache broker also waits for its ZooKeeper.
func (b *Broker) Launch(ctx context.Context) error {
	if b.zk != nil && b.zk.Process == nil {
		if err := b.zk.Start(ctx); err != nil {
			return err
		}
	}
	if b.Target == Apache { // also before its first start: another program may have had the id
		if err := b.AwaitOldSession(ctx); err != nil {
			return err
		}
	}
	conf := filepath.Join(b.Dir, "server.properties")
	if err := os.WriteFile(conf, []byte(b.properties()), 0o644); err != nil {
		return err
	}
	cmd, err := b.command(conf)
	if err != nil {
		return err
	}
	b.starts++
	b.proc, err = StartProcess(fmt.Sprintf("%s broker %d", b.Target, b.ID), cmd,
		filepath.Join(b.Dir, fmt.Sprintf("broker-%03d.log", b.starts)))
	return err
}

func (b *Broker) properties() string {
	if b.zkAddr != "" {
		b.props["zookeeper.connect"] = b.zkAddr
	}
	var s strings.Builder
	for _, k := range slices.Sorted(maps.Keys(b.props)) {
		fmt.Fprintf(&s, "%s=%s\n", k, b.props[k])
	}
	return s.String()
}

func (b *Broker) command(conf string) (*exec.Cmd, error) {
	if b.Target == Gokafka {
		cmd := exec.Command(b.program, "server", conf)
		cmd.Dir = b.Dir
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KAFKA_") })
		return cmd, nil
	}
	libs, err := JavaLibs()
	if err != nil {
		return nil, err
	}
	jvm := b.jvm
	if jvm == nil {
		jvm = []string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}
	}
	args := append(slices.Clone(jvm), "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", libs, "kafka.Kafka", conf)
	cmd := exec.Command("java", args...)
	cmd.Dir = b.Dir
	return cmd, nil
}

// Start runs the broker and waits until it serves: ApiVersions is answered and Metadata names a controller.
func (b *Broker) Start(ctx context.Context) error {
	if err := b.Launch(ctx); err != nil {
		return err
	}
	return b.WaitReady(ctx)
}

// WaitReady waits, at most ReadyTimeout, until the launched broker serves. A broker that does not is killed, and the end
// of its log is in the error.
func (b *Broker) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.ReadyTimeout)
	defer cancel()
	if err := poll(ctx, b.proc, b.Serving); err != nil {
		b.proc.Kill()
		return fmt.Errorf("%w\n--- end of %s\n%s", err, b.proc.LogPath, b.proc.Tail(8192))
	}
	return nil
}

// Serving asks once whether the broker answers ApiVersions and knows itself and a controller.
func (b *Broker) Serving(ctx context.Context) error {
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 2 * time.Second
	if _, err := c.Ask(kmsg.NewPtrApiVersionsRequest(), 0); err != nil {
		return err
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	m := resp.(*kmsg.MetadataResponse)
	if m.ControllerID < 0 || len(m.Brokers) == 0 {
		return fmt.Errorf("metadata has controller %d and %d brokers", m.ControllerID, len(m.Brokers))
	}
	return nil
}

// Kill ends the broker by SIGKILL.
func (b *Broker) Kill() {
	if b.proc != nil {
		b.proc.Kill()
	}
}

// Stop ends the broker by SIGTERM and reports an exit status other than 0. (Apache's JVM ends with 143 by its signal.)
func (b *Broker) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err := b.proc.Terminate(ctx)
	var exit *exec.ExitError
	if b.Target == Apache && errors.As(err, &exit) && exit.ExitCode() == 143 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w\n--- end of %s\n%s", err, b.proc.LogPath, b.proc.Tail(4096))
	}
	return nil
}

// Close kills the broker and the ZooKeeper it brought.
func (b *Broker) Close() {
	b.Kill()
	if b.zk != nil && b.zk.Process != nil {
		b.zk.Kill()
	}
}

// LogTail is the end of the last start's log.
func (b *Broker) LogTail() string {
	if b.proc == nil {
		return "(never started)"
	}
	return b.proc.LogPath + ":\n" + b.proc.Tail(8192)
}

// ZooKeeper is the address of the real ensemble behind the broker, empty if it runs its own coordination.
func (b *Broker) ZooKeeper() string { return b.zkAddr }

// TimeToApiVersions launches the broker and measures until the first ApiVersions answer, asking every millisecond.
func (b *Broker) TimeToApiVersions(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, b.ReadyTimeout)
	defer cancel()
	start := time.Now()
	if err := b.Launch(ctx); err != nil {
		return 0, err
	}
	for {
		err := b.apiVersions(ctx)
		if err == nil {
			return time.Since(start), nil
		}
		select {
		case <-b.proc.Done():
			return 0, fmt.Errorf("%s ended: %v\n%s", b.proc.Name, b.proc.Err(), b.LogTail())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: %w", b.proc.Name, err)
		case <-time.After(time.Millisecond):
		}
	}
}

func (b *Broker) apiVersions(ctx context.Context) error {
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 2 * time.Second
	_, err = c.Ask(kmsg.NewPtrApiVersionsRequest(), 0)
	return err
}
