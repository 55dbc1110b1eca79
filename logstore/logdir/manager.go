package logdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

const (
	lockFile           = ".lock"
	cleanShutdownFile  = ".kafka_cleanshutdown"
	recoveryPointFile  = "recovery-point-offset-checkpoint"
	logStartFile       = "log-start-offset-checkpoint"
	highWatermarkFile  = "replication-offset-checkpoint"
	cleanerFile        = "cleaner-offset-checkpoint"
	remoteLogIndexDir  = "remote-log-index-cache"
	metadataTopic      = "__cluster_metadata"
	cleanShutdownValue = `{"version":0,"brokerEpoch":-1}`
)

// Options are what a Manager needs. Durations are the broker's settings; one that is not positive switches its work off.
type Options struct {
	FS     vfs.FS
	Dirs   []string // log.dirs
	Clock  *clock.Clock
	Logger *slog.Logger
	Codecs *record.Codecs

	// TopicConfig is the effective settings of a topic, for logs that are found at start.
	TopicConfig func(topic string) *config.Topic
	Producers   logstore.ProducerOptions

	RecoveryThreads                 int           // num.recovery.threads.per.data.dir
	MaxOpenFiles                    int           // files of logs kept open; 0 = half of what the process may open
	FileDeleteDelay                 time.Duration // log.segment.delete.delay.ms, for whole partitions
	InitialDelay                    time.Duration // before the first periodic work; Kafka's is 30 s
	RetentionCheckInterval          time.Duration // log.retention.check.interval.ms
	FlushCheckInterval              time.Duration // log.flush.scheduler.interval.ms
	RecoveryPointCheckpointInterval time.Duration // log.flush.offset.checkpoint.interval.ms
	LogStartCheckpointInterval      time.Duration // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkCheckpointInterval time.Duration // replica.high.watermark.checkpoint.interval.ms
	ProducerExpirationInterval      time.Duration // producer.id.expiration.check.interval.ms

	// OnDirFailure is told, without locks, that a directory failed and which partitions went offline with it.
	OnDirFailure func(dir string, lost []metadata.TopicPartition, err error)
}

// Manager keeps the log directories of a broker. Safe for concurrent use.
type Manager struct {
	producers atomic.Pointer[logstore.ProducerOptions] // changed settings of producers, or nil
	opts      Options
	logger    *slog.Logger
	buffers   *logstore.Buffers
	files     *logstore.Files

	mu       sync.Mutex
	dirs     []*dir // live ones, in the order of log.dirs
	offline  map[string]error
	logs     map[metadata.TopicPartition]*entry
	futures  map[metadata.TopicPartition]*entry        // what is to take the place of the log, in another directory (KIP-113)
	wished   map[metadata.TopicPartition]string        // the directory in which a log is to be made
	making   map[metadata.TopicPartition]chan struct{} // closed when made, or not
	removals map[*removal]struct{}
	cleaning cleaning
	// superseded are logs found at start that another one has replaced.
	superseded []superseded
	closed     bool
	leftover   []func()       // what is left to do for directories that failed since closed was set
	failing    sync.WaitGroup // failDir under way, which adds to leftover

	epochMu sync.Mutex // held by SaveEpochs

	ctx    context.Context
	cancel context.CancelFunc
	bg     sync.WaitGroup // periodic work and running removals
}

// entry is a log and where it is.
type entry struct {
	log *logstore.Log
	dir *dir
	// cleanedTo, of a future log, is how far the log that it copies was cleaned when the copying began.
	cleanedTo int64
	// cleaning says that a cleaner is at the log. uncleanable says that one failed at it for a reason other than the disk: it is left alone until the next
	// start. Guarded by Manager.mu.
	cleaning, uncleanable bool
}

// dir is one log directory.
type dir struct {
	path    string
	lock    io.Closer
	meta    Meta
	hasMeta bool
	clean   bool // it was shut down cleanly
	loaded  bool // all its logs were loaded

	recoveryPoints, logStarts, cleaned map[metadata.TopicPartition]int64 // as found at start

	checkpointMu sync.Mutex
	written      map[string]map[metadata.TopicPartition]int64 // what is in the checkpoint files, by name
	failed       bool                                         // guarded by checkpointMu: write no more
}

// Open prepares, loads and starts in one.
func Open(opts Options, brokerID int32, clusterID string) (*Manager, error) {
	m, err := Prepare(opts)
	if err != nil {
		return nil, err
	}
	if err := m.Load(brokerID, clusterID); err != nil {
		m.Abandon()
		return nil, err
	}
	m.Start()
	return m, nil
}

// Prepare makes missing directories, locks all, and reads their meta.properties. A directory that fails is offline; with none
// left, or one that another process uses, it is an error.
func Prepare(opts Options) (*Manager, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.RecoveryThreads = max(1, opts.RecoveryThreads)
	if opts.MaxOpenFiles <= 0 {
		opts.MaxOpenFiles = vfs.OpenFileLimit() / 2
	}
	m := &Manager{
		opts: opts, logger: opts.Logger, buffers: new(logstore.Buffers), files: logstore.NewFiles(opts.MaxOpenFiles),
		offline: map[string]error{}, logs: map[metadata.TopicPartition]*entry{},
		futures: map[metadata.TopicPartition]*entry{}, wished: map[metadata.TopicPartition]string{},
		making: map[metadata.TopicPartition]chan struct{}{}, removals: map[*removal]struct{}{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	seen := map[string]bool{}
	for _, path := range opts.Dirs {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		if seen[path] {
			m.Abandon()
			return nil, fmt.Errorf("duplicate log directory %s", path)
		}
		seen[path] = true
		d, err := m.prepareDir(path)
		if fatal := new(MetaError); errors.Is(err, vfs.ErrLocked) || errors.As(err, &fatal) {
			m.Abandon()
			return nil, err
		}
		if err != nil {
			m.logger.Error("log directory is offline", "dir", path, "err", err)
			m.offline[path] = err
			continue
		}
		m.dirs = append(m.dirs, d)
	}
	if len(m.dirs) == 0 {
		return nil, m.noneLeft()
	}
	return m, nil
}

func (m *Manager) noneLeft() error {
	errs := []error{errors.New("no log directory is usable")}
	for _, path := range slices.Sorted(maps.Keys(m.offline)) {
		errs = append(errs, fmt.Errorf("%s: %w", path, m.offline[path]))
	}
	return errors.Join(errs...)
}

func (m *Manager) prepareDir(path string) (*dir, error) {
	exists, err := vfs.Exists(m.opts.FS, path)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := m.opts.FS.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
		if err := m.opts.FS.SyncDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
	}
	d := &dir{path: path, written: map[string]map[metadata.TopicPartition]int64{}}
	if d.lock, err = m.opts.FS.Lock(filepath.Join(path, lockFile)); err != nil {
		if errors.Is(err, vfs.ErrLocked) {
			return nil, fmt.Errorf("failed to acquire lock on file .lock in %s; another broker is using this directory: %w", path, err)
		}
		return nil, err
	}
	if d.meta, d.hasMeta, err = readMeta(m.opts.FS, path); err != nil {
		d.lock.Close()
		return nil, err
	}
	return d, nil
}

// Identity is the broker id and the cluster id that the directories agree on: -1 and "" if they do not say. Directories that
// disagree are an error.
func (m *Manager) Identity() (brokerID int32, clusterID string, err error) {
	brokerID = -1
	owners := map[string]string{}
	for _, d := range m.dirs {
		if id := d.meta.DirectoryID; id != "" {
			if other, twice := owners[id]; twice {
				return -1, "", &MetaError{fmt.Errorf("directory.id %s is that of %s and of %s", id, other, d.path)}
			}
			owners[id] = d.path
		}
		if id := d.meta.BrokerID; id >= 0 {
			if brokerID >= 0 && brokerID != id {
				return -1, "", &MetaError{fmt.Errorf("broker.id is not the same in all log directories: %d and %d", brokerID, id)}
			}
			brokerID = id
		}
		if id := d.meta.ClusterID; id != "" {
			if clusterID != "" && clusterID != id {
				return -1, "", &MetaError{fmt.Errorf("cluster.id is not the same in all log directories: %s and %s", clusterID, id)}
			}
			clusterID = id
		}
	}
	return brokerID, clusterID, nil
}

// SetTopicConfig replaces Options.TopicConfig; call it before Load.
func (m *Manager) SetTopicConfig(f func(topic string) *config.Topic) { m.opts.TopicConfig = f }

// Abandon releases the locks without a clean shutdown.
func (m *Manager) Abandon() {
	m.mu.Lock()
	m.closed = true
	dirs := m.dirs
	m.mu.Unlock()
	m.cancel()
	m.stopRemovals()
	m.bg.Wait()
	for _, e := range m.entries() {
		e.log.MarkOffline()
		e.log.Close() // only lets go of the files
	}
	for _, d := range dirs {
		d.lock.Close()
	}
	m.finishLeftover()
}

// Get returns the partition's log.
func (m *Manager) Get(tp metadata.TopicPartition) (*logstore.Log, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.logs[tp]; e != nil {
		return e.log, true
	}
	return nil, false
}

// SetProducerOptions takes changed settings of producers, for the logs there are and those to come.
func (m *Manager) SetProducerOptions(o logstore.ProducerOptions) {
	m.producers.Store(&o)
	for _, l := range m.All() {
		l.SetProducerOptions(o)
	}
}

// producerOptions are the settings of producers as they are now.
func (m *Manager) producerOptions() logstore.ProducerOptions {
	if o := m.producers.Load(); o != nil {
		return *o
	}
	return m.opts.Producers
}

// All returns the logs, future ones too, in no order.
func (m *Manager) All() []*logstore.Log {
	entries := m.entries()
	out := make([]*logstore.Log, len(entries))
	for i, e := range entries {
		out[i] = e.log
	}
	return out
}

// Current returns the logs without the future ones, in no order.
func (m *Manager) Current() []*logstore.Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*logstore.Log, 0, len(m.logs))
	for _, e := range m.logs {
		out = append(out, e.log)
	}
	return out
}

func (m *Manager) entries() []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(m.logs)), maps.Values(m.futures))
}

// DirInfo describes a log directory, for DescribeLogDirs.
type DirInfo struct {
	Path                    string
	Err                     error // why it is offline, or nil
	TotalBytes, UsableBytes uint64
	Logs, Futures           []*logstore.Log
}

// Dirs describes all directories, offline ones too.
func (m *Manager) Dirs() []DirInfo {
	m.mu.Lock()
	var out []DirInfo
	index := map[*dir]int{}
	for _, d := range m.dirs {
		index[d] = len(out)
		out = append(out, DirInfo{Path: d.path})
	}
	for _, e := range m.logs {
		if i, ok := index[e.dir]; ok {
			out[i].Logs = append(out[i].Logs, e.log)
		}
	}
	for _, e := range m.futures {
		if i, ok := index[e.dir]; ok {
			out[i].Futures = append(out[i].Futures, e.log)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(m.offline)) {
		out = append(out, DirInfo{Path: path, Err: m.offline[path]})
	}
	m.mu.Unlock()
	for i := range out {
		if out[i].Err == nil {
			out[i].TotalBytes, out[i].UsableBytes, _ = m.opts.FS.Space(out[i].Path) // 0 = not known
		}
	}
	return out
}

// OfflineDirs says whether a directory is offline. Partitions that are not found may be in it.
func (m *Manager) OfflineDirs() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.offline) > 0
}

// failDir takes a directory offline, with all its logs.
func (m *Manager) failDir(d *dir, err error) {
	m.mu.Lock()
	i := slices.Index(m.dirs, d)
	if i < 0 {
		m.mu.Unlock()
		return
	}
	m.failing.Add(1) // with mu held and the directory still in the list: Close, which is after it or closes the directory, sees it
	defer m.failing.Done()
	m.dirs = slices.Delete(slices.Clone(m.dirs), i, i+1)
	m.offline[d.path] = err
	var lost []metadata.TopicPartition
	var logs []*logstore.Log
	for tp, e := range m.logs {
		if e.dir == d {
			lost, logs = append(lost, tp), append(logs, e.log)
			delete(m.logs, tp)
		}
	}
	for tp, e := range m.futures {
		if e.dir == d { // the log that it was to replace goes on
			logs = append(logs, e.log)
			delete(m.futures, tp)
		}
	}
	m.mu.Unlock()
	m.logger.Error("log directory failed; its partitions are offline", "dir", d.path, "partitions", len(lost), "err", err)
	for _, l := range logs {
		l.MarkOffline()
	}
	if m.opts.OnDirFailure != nil {
		m.opts.OnDirFailure(d.path, lost, err)
	}
	// The caller may be a goroutine that Close of its log waits for.
	cleanup := func() {
		d.checkpointMu.Lock()
		d.failed = true
		d.checkpointMu.Unlock()
		for _, l := range logs {
			l.Close() // lets go of the files; it says again that the log is offline
		}
		d.lock.Close()
	}
	if !m.background(cleanup) {
		m.mu.Lock()
		m.leftover = append(m.leftover, cleanup) // Close or Abandon is under way, and does it at its end
		m.mu.Unlock()
	}
}

// finishLeftover lets go of the directories that failed while Close or Abandon was under way.
func (m *Manager) finishLeftover() {
	m.failing.Wait()
	m.mu.Lock()
	list := m.leftover
	m.leftover = nil
	m.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// background runs f in a goroutine that Close waits for, unless that is under way already; it says whether it does.
func (m *Manager) background(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.bg.Add(1)
	go func() {
		defer m.bg.Done()
		f()
	}()
	return true
}

// errClosed is for calls after Close.
var errClosed = fmt.Errorf("log manager is closed: %w", kerr.KafkaStorageError)
