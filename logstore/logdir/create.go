package logdir

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

// NewLog asks for a partition's log.
type NewLog struct {
	TopicPartition metadata.TopicPartition
	TopicID        metadata.TopicID // zero = not known
	Config         *config.Topic
	// IsNew says that the partition was just created. One that was not may lie in a directory that is offline: then no other is made.
	IsNew bool
	Dir   string // preferred log directory, or ""
	// FirstEpochs are the leader epochs that the log begins with if it is made.
	FirstEpochs []logstore.EpochStart
}

// GetOrCreate returns the partition's log, making it if there is none.
func (m *Manager) GetOrCreate(n NewLog) (*logstore.Log, error) {
	logs, errs := m.CreateAll([]NewLog{n})
	return logs[0], errs[0]
}

// CreateAll returns the logs of many partitions, making those that are missing: all are written, one sync for each directory makes them
// durable, then they are put in place. The results are in the order of the requests, each a log or an error.
func (m *Manager) CreateAll(list []NewLog) ([]*logstore.Log, []error) {
	logs, errs := make([]*logstore.Log, len(list)), make([]error, len(list))
	var jobs []*job
	var perDir map[*dir]int // counted when the first is to be made
	for i, n := range list {
		j := &job{NewLog: n, index: i}
		if logs[i], errs[i] = m.reserve(j, &perDir); j.done != nil {
			jobs = append(jobs, j)
		}
	}
	m.stageAll(jobs)
	byDir := map[*dir][]*job{}
	for _, j := range jobs {
		if j.err == nil {
			byDir[j.dir] = append(byDir[j.dir], j)
		}
	}
	for d, js := range byDir {
		m.commit(d, js)
	}
	for _, j := range jobs {
		m.publish(j)
		logs[j.index], errs[j.index] = j.log, j.err
	}
	for i, n := range list { // those that another call was making, or that are asked for twice
		if logs[i] == nil && errs[i] == nil {
			logs[i], errs[i] = m.await(n)
		}
	}
	return logs, errs
}

// job is one log being made.
type job struct {
	NewLog
	index int
	dir   *dir
	done  chan struct{} // set if this call makes the log
	log   *logstore.Log
	err   error
}

// countPerDir counts the logs of each directory. Caller holds mu.
func (m *Manager) countPerDir() map[*dir]int {
	counts := map[*dir]int{}
	for _, e := range m.logs {
		counts[e.dir]++
	}
	return counts
}

// reserve returns a log that is there, or makes the job this call's to do. Neither log nor error nor job: another call is at it.
func (m *Manager) reserve(j *job, perDir *map[*dir]int) (*logstore.Log, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, errClosed
	}
	if e := m.logs[j.TopicPartition]; e != nil {
		m.mu.Unlock()
		return existing(e.log, j.TopicID)
	}
	defer m.mu.Unlock()
	if m.making[j.TopicPartition] != nil {
		return nil, nil
	}
	if len(m.offline) > 0 && !j.IsNew {
		return nil, fmt.Errorf("can not create log for %s because log directories are offline: %w", j.TopicPartition, kerr.KafkaStorageError)
	}
	if *perDir == nil {
		*perDir = m.countPerDir()
	}
	if j.dir = m.pick(cmp.Or(j.Dir, m.wished[j.TopicPartition]), *perDir); j.dir == nil {
		return nil, fmt.Errorf("no log directory for %s: %w", j.TopicPartition, kerr.KafkaStorageError)
	}
	(*perDir)[j.dir]++
	j.done = make(chan struct{})
	m.making[j.TopicPartition] = j.done
	return nil, nil
}

func existing(l *logstore.Log, id metadata.TopicID) (*logstore.Log, error) {
	if id.IsZero() {
		return l, nil
	}
	if err := l.AssignTopicID(id); err != nil {
		return nil, err
	}
	return l, nil
}

// pick chooses the preferred directory, if it is live, else the one with the fewest partitions. Caller holds mu.
func (m *Manager) pick(preferred string, perDir map[*dir]int) *dir {
	var best *dir
	for _, d := range m.dirs {
		if preferred != "" && d.path == preferred {
			return d
		}
		if best == nil || perDir[d] < perDir[best] {
			best = d
		}
	}
	return best
}

// Files are made by the kernel, one after the other in each thread that asks: from so many logs on more threads help.
const stagedPerThread, stageThreads = 50, 4

func (m *Manager) stageAll(jobs []*job) {
	threads := min(stageThreads, runtime.GOMAXPROCS(0), 1+len(jobs)/stagedPerThread)
	var wg sync.WaitGroup
	for part := range slices.Chunk(jobs, max(1, (len(jobs)+threads-1)/threads)) {
		wg.Go(func() {
			for _, j := range part {
				m.stage(j)
			}
		})
	}
	wg.Wait()
}

func (m *Manager) stage(j *job) {
	m.stageAs(j, j.TopicPartition.String())
}

func (m *Manager) stageAs(j *job, name string) {
	path := filepath.Join(j.dir.path, name)
	existed, err := vfs.Exists(m.opts.FS, path)
	if err != nil {
		if !logstore.IsShortage(err) {
			m.failDir(j.dir, err)
		}
		j.err = fmt.Errorf("%s: %w: %w", path, kerr.KafkaStorageError, err)
		return
	}
	o := m.logOptions(j.dir, path, j.TopicPartition)
	o.TopicID, o.Config, o.CleanShutdown, o.FirstEpochs = j.TopicID, j.Config, true, j.FirstEpochs
	if j.log, j.err = logstore.OpenStaged(o); j.err != nil {
		m.undo(j, path, existed)
	}
}

// undo removes what is left of a log that could not be made, unless it was there before, and takes the directory offline if the
// disk is at fault.
func (m *Manager) undo(j *job, path string, existed bool) {
	if !existed {
		j.err = errors.Join(j.err, m.opts.FS.RemoveAll(path))
	}
	if logstore.IsIOError(j.err) {
		if !logstore.IsShortage(j.err) {
			m.failDir(j.dir, j.err)
		}
		j.err = fmt.Errorf("%w: %w", kerr.KafkaStorageError, j.err)
	}
}

func (m *Manager) commit(d *dir, jobs []*job) {
	logs := make([]*logstore.Log, len(jobs))
	for i, j := range jobs {
		logs[i] = j.log
	}
	err := logstore.SyncStaged(m.opts.FS, d.path, logs)
	for _, j := range jobs {
		if j.err = err; err == nil {
			j.err = j.log.Commit()
		}
	}
	if err != nil {
		m.failDir(d, err)
	}
	for _, j := range jobs {
		if j.err != nil {
			j.log.MarkOffline()
			j.log.Close() // only lets go of the files
			j.log, j.err = nil, fmt.Errorf("%w: %w", kerr.KafkaStorageError, j.err)
		}
	}
}

func (m *Manager) publish(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.making, j.TopicPartition)
	close(j.done)
	if j.err != nil {
		return
	}
	if _, offline := m.offline[j.dir.path]; offline || m.closed {
		j.log.MarkOffline()
		j.log, j.err = nil, fmt.Errorf("log directory %s of %s failed meanwhile: %w", j.dir.path, j.TopicPartition, kerr.KafkaStorageError)
		return
	}
	delete(m.wished, j.TopicPartition)
	m.logs[j.TopicPartition] = &entry{log: j.log, dir: j.dir}
}

// await waits for another call that makes the log.
func (m *Manager) await(n NewLog) (*logstore.Log, error) {
	for {
		m.mu.Lock()
		e, making := m.logs[n.TopicPartition], m.making[n.TopicPartition]
		m.mu.Unlock()
		switch {
		case e != nil:
			return existing(e.log, n.TopicID)
		case making == nil:
			return nil, fmt.Errorf("log of %s could not be made by another request: %w", n.TopicPartition, kerr.KafkaStorageError)
		}
		<-making
	}
}

// SaveEpochs makes leader epochs durable that were staged with logstore.Log.StageEpochStart, with one sync for each directory.
func (m *Manager) SaveEpochs(logs []*logstore.Log) error {
	m.epochMu.Lock()
	defer m.epochMu.Unlock()
	return logstore.SaveAllEpochs(m.opts.FS, logs)
}
