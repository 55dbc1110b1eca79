package embedded

import (
	"errors"
	"log/slog"
	"time"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
)

// Options configure a Server. Dir is required; the zero value of each other field gives the default named there.
type Options struct {
	FS       vfs.FS        // vfs.OS()
	Dir      string        // holds the ".gokafka-coordination.*" files; made if missing
	Clock    *clock.Clock  // clock.New()
	Logger   *slog.Logger  // slog.Default()
	NoSync   bool          // do not sync the log: survives kill -9, not a power failure
	TickTime time.Duration // 2 s: sessions expire on multiples of it

	MinSessionTimeout time.Duration // 2 ticks
	MaxSessionTimeout time.Duration // 20 ticks

	JuteMaxBytes    int    // largest request, 1,048,575 (ZooKeeper's jute.maxbuffer)
	MaxConnsPerHost int    // TCP connections of one address, 60; negative: no limit
	SuperDigest     string // "user:hash": this digest identity passes every ACL

	ContainerCheckInterval time.Duration // 60 s: how often empty container nodes are looked for
	SnapshotBytes          int64         // 16 MiB: a snapshot is taken when the log has grown by this since the last
	SnapshotTransactions   int           // 50,000: or by this
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("coordination: no directory given")
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	setDefault(&o.TickTime, 2*time.Second)
	setDefault(&o.MinSessionTimeout, 2*o.TickTime)
	setDefault(&o.MaxSessionTimeout, 20*o.TickTime)
	setDefault(&o.JuteMaxBytes, defaultJuteMaxBytes)
	setDefault(&o.ContainerCheckInterval, time.Minute)
	setDefault(&o.SnapshotBytes, 16<<20)
	setDefault(&o.SnapshotTransactions, 50_000)
	if o.MaxConnsPerHost == 0 {
		o.MaxConnsPerHost = 60
	}
	if o.MinSessionTimeout > o.MaxSessionTimeout {
		return o, errors.New("coordination: the smallest session timeout is above the largest")
	}
	return o, nil
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
