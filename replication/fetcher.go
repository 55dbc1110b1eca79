package replication

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/peer"
	"gokafka/metadata"
)

// maxFetchAnswerBytes bounds the answer of a leader, which may hold one batch larger than all limits. Memory grows with what arrives.
const maxFetchAnswerBytes = 1 << 30

// logStartScan is how often the local log starts, which retention raises, are compared with what the leader was told of them.
const logStartScan = time.Second

// leaderLink is the way to a leading broker. Answers are valid until the next request.
type leaderLink struct {
	request func(context.Context, kmsg.Request) (kmsg.Response, error)
	close   func()
}

// dialLeader is the link over the network.
func (m *Manager) dialLeader(leader int32, fetcherID int) leaderLink {
	o := m.o.Peer
	o.Clock, o.ClientID = m.clk, fmt.Sprintf("broker-%d-fetcher-%d", m.brokerID, fetcherID)
	o.ConnectTimeout, o.RequestTimeout = m.o.SocketTimeout, m.o.SocketTimeout
	o.MaxResponseBytes, o.ReuseBuffer = maxFetchAnswerBytes, true
	c := peer.NewClient(func() (string, error) {
		addr, ok := m.o.PeerAddr(leader)
		if !ok {
			return "", fmt.Errorf("broker %d is not alive, or has no listener for brokers", leader)
		}
		return addr, nil
	}, o)
	return leaderLink{request: c.Request, close: c.Close}
}

// fetcher fetches the partitions that one broker leads, or those of one hash (Kafka 3.9 AbstractFetcherThread, ReplicaFetcherThread). Its goroutine has one request in
// flight; what it holds is bounded by one answer.
type fetcher struct {
	m      *Manager
	leader int32
	link   leaderLink

	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // capacity 1

	session  fetchSession  // the goroutine's own
	nextScan time.Duration // the goroutine's own

	mu      sync.Mutex // guards what follows and the states
	idle    *sync.Cond // signalled when a state is not busy any more
	parts   map[metadata.TopicPartition]*fetchState
	keys    map[fetchKey]*fetchState
	dirty   map[fetchKey]struct{} // may differ from what the leader was told
	delayed map[*fetchState]struct{}
	uncut   []*fetchState // new ones to be truncated
	// nameless is how many partitions have no topic id.
	nameless int
	count    int64
	held     bool // throttled partitions were left out of the last request
}

func newFetcher(m *Manager, leader int32, id int) *fetcher {
	f := &fetcher{
		m: m, leader: leader, link: m.connect(leader, id), done: make(chan struct{}), wake: make(chan struct{}, 1),
		session: fetchSession{members: map[fetchKey]member{}},
		parts:   map[metadata.TopicPartition]*fetchState{}, keys: map[fetchKey]*fetchState{}, dirty: map[fetchKey]struct{}{}, delayed: map[*fetchState]struct{}{},
	}
	f.idle = sync.NewCond(&f.mu)
	return f
}

// start starts the goroutine.
func (f *fetcher) start() {
	ctx, cancel := context.WithCancel(f.m.ctx)
	f.cancel = cancel
	go f.run(ctx)
}

// stop ends the goroutine and waits for it.
func (f *fetcher) stop() {
	f.cancel()
	f.link.close()
	<-f.done
}

func (f *fetcher) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fetcher) run(ctx context.Context) {
	defer close(f.done)
	for ctx.Err() == nil {
		f.undelay()
		f.truncateNew()
		f.scanLogStarts()
		q := f.buildFetch()
		if q == nil {
			f.pause(ctx)
			continue
		}
		answer, err := f.link.request(ctx, q)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.requestFailed(err)
			continue
		}
		resp, ok := answer.(*kmsg.FetchResponse)
		if !ok {
			f.requestFailed(fmt.Errorf("the answer to a Fetch is a %T", answer))
			continue
		}
		if results, ok := f.accept(q, resp); ok {
			f.process(ctx, results)
		}
	}
}

// requestFailed lets all partitions be for a while.
func (f *fetcher) requestFailed(err error) {
	f.m.logger.Warn("Fetch from the leader failed", "leader", f.leader, "error", err)
	f.session.restart()
	f.delayAll()
}

func (f *fetcher) delayAll() {
	now := f.m.clk.Mono()
	for _, s := range f.states() {
		f.delay(s, now)
	}
}

// undelay lets partitions be fetched again whose time has come.
func (f *fetcher) undelay() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.m.clk.Mono()
	for s := range f.delayed {
		if s.until <= now {
			s.until = 0
			delete(f.delayed, s)
			f.dirty[s.key()] = struct{}{}
		}
	}
}

// scanLogStarts has the leader told, now and then, of local log starts that retention has raised.
func (f *fetcher) scanLogStarts() {
	now := f.m.clk.Mono()
	if now < f.nextScan {
		return
	}
	f.nextScan = now + logStartScan
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, m := range f.session.members {
		if m.s.log.LogStartOffset() != m.pos.logStart {
			f.dirty[k] = struct{}{}
		}
	}
}

// pause waits until a partition comes or may be fetched again.
func (f *fetcher) pause(ctx context.Context) {
	wait := f.m.o.FetchBackoff
	f.mu.Lock()
	now := f.m.clk.Mono()
	for s := range f.delayed {
		wait = min(wait, s.until-now)
	}
	f.mu.Unlock()
	t := f.m.clk.NewTimer(max(wait, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.wake:
	case <-ctx.Done():
	}
}

// fetcherID spreads partitions over the fetchers of a leader as Apache does: 31 times the topic's Java hash, plus the partition.
func fetcherID(tp metadata.TopicPartition, n int) int {
	h := javaHash(tp.Topic)*31 + tp.Partition
	if h < 0 {
		h = -h
	}
	if h < 0 { // the smallest int32: Java's Utils.abs makes 0 of it
		h = 0
	}
	return int(h) % n
}

// javaHash is String.hashCode of an ASCII string, which topic names are.
func javaHash(s string) int32 {
	var h int32
	for i := range len(s) {
		h = 31*h + int32(s[i])
	}
	return h
}

func (k fetchKey) String() string {
	if k.id.IsZero() {
		return k.topic + "-" + strconv.Itoa(int(k.partition))
	}
	return k.id.String() + "-" + strconv.Itoa(int(k.partition))
}
