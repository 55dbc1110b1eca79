package replication

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/vfs"
	"gokafka/metadata"
)

var (
	chaosSeed  = flag.Uint64("chaos.seed", 0, "run this history only")
	chaosSeeds = flag.Int("chaos.seeds", 0, "number of histories; 0 = the default")
)

// Histories of three replicas with crashes, cut connections, leaders that the controller believes dead, and answers of the controller that are lost. Whatever
// happens, what was acknowledged with acks=all is there in the end, once, where the acknowledgement said, and all logs are the same.
func TestHistories(t *testing.T) {
	if *chaosSeed != 0 {
		synctest.Test(t, func(t *testing.T) { newHistory(t, *chaosSeed).run(400) })
		return
	}
	n := 40
	if testing.Short() {
		n = 8
	}
	if *chaosSeeds > 0 {
		n = *chaosSeeds
	}
	for seed := uint64(1); seed <= uint64(n); seed++ {
		synctest.Test(t, func(t *testing.T) { newHistory(t, seed).run(150) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// history is one run: three brokers and a small controller.
type history struct {
	t     *testing.T
	seed  uint64
	rnd   *rand.Rand
	net   *network
	disks map[int32]*vfs.Mem
	steps []string

	mu     sync.Mutex // guards what follows
	luck   *rand.Rand // of the controller's answers
	state  metadata.PartitionState
	alive  map[int32]bool // in the eyes of the controller
	lost   map[int32]bool // brokers that hear nothing from the controller
	acked  map[int64]string
	next   int
	sender sender
	appcnt sync.WaitGroup
}

// sender is an idempotent producer with one batch in flight: it sends a batch again until that is acknowledged. Guarded by history.mu.
type sender struct {
	seq     int32 // of the batch that is sent, or is to be
	waiting bool  // for its answer
	tries   int   // of this batch
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), luck: rand.New(rand.NewPCG(seed, 1)), net: newNetwork(), disks: map[int32]*vfs.Mem{}, alive: map[int32]bool{}, lost: map[int32]bool{}, acked: map[int64]string{}}
	for id := int32(1); id <= 3; id++ {
		h.disks[id] = vfs.NewMem()
		h.alive[id] = true
		h.open(id)
	}
	h.state = metadata.PartitionState{Leader: 1, ISR: []int32{1, 2, 3}, ControllerEpoch: 1}
	h.tell()
	return h
}

func (h *history) open(id int32) {
	openNode(h.t, id, h.disks[id], h.net, func(o *Options) {
		o.FetchWaitMax, o.FetchBackoff = 500*time.Millisecond, time.Second
		o.AlterPartition = func(ctx context.Context, q *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
			return h.alter(q)
		}
	})
}

func (h *history) node(id int32) *node {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.net.nodes[id]
}

// alter is the controller's part of AlterPartition.
func (h *history) alter(q *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost[q.BrokerID] {
		return nil, errors.New("the controller cannot be reached")
	}
	p := q.Topics[0].Partitions[0]
	var code *kerr.Error
	switch {
	case p.LeaderEpoch < h.state.LeaderEpoch || q.BrokerID != h.state.Leader:
		code = kerr.FencedLeaderEpoch
	case slices.Equal(p.NewISR, h.state.ISR):
	case p.PartitionEpoch < h.state.PartitionEpoch:
		code = kerr.InvalidUpdateVersion
	case slices.ContainsFunc(p.NewISR, func(id int32) bool { return !h.alive[id] }):
		code = kerr.IneligibleReplica
	default:
		h.state.ISR = slices.Clone(p.NewISR)
		h.state.PartitionEpoch++
	}
	if h.luck.IntN(4) == 0 {
		return nil, errors.New("the answer is lost")
	}
	resp := answer(q, code)
	if code == nil {
		r := &resp.Topics[0].Partitions[0]
		r.ISR, r.PartitionEpoch, r.LeaderEpoch = slices.Clone(h.state.ISR), h.state.PartitionEpoch, h.state.LeaderEpoch
	}
	return resp, nil
}

// tell sends the picture and the state to all who hear the controller.
func (h *history) tell() {
	h.mu.Lock()
	s := state(h.state.Leader, h.state.LeaderEpoch, h.state.PartitionEpoch, h.state.ISR...)
	var ids, hear []int32
	for id := int32(1); id <= 3; id++ {
		if h.alive[id] {
			ids = append(ids, id)
		}
		if !h.lost[id] {
			hear = append(hear, id)
		}
	}
	h.mu.Unlock()
	for _, id := range hear {
		if n := h.node(id); n != nil {
			n.live(ids...)
			if err := n.apply(s); err != nil && code(err) != kerr.StaleControllerEpoch {
				h.t.Errorf("broker %d: %v", id, err)
			}
		}
	}
}

// died takes a broker out of the ISR and elects another leader, as the controller does when a registration goes.
func (h *history) died(id int32) {
	h.mu.Lock()
	h.alive[id] = false
	if isr := slices.DeleteFunc(slices.Clone(h.state.ISR), func(m int32) bool { return m == id }); len(isr) > 0 && len(isr) < len(h.state.ISR) {
		h.state.ISR = isr
	}
	h.elect()
	h.mu.Unlock()
	h.tell()
}

// elect is called with mu held.
func (h *history) elect() {
	h.state.LeaderEpoch++
	h.state.PartitionEpoch++
	if h.state.Leader > 0 && h.alive[h.state.Leader] {
		return
	}
	h.state.Leader = -1
	for _, id := range h.state.ISR {
		if h.alive[id] {
			h.state.Leader = id
		}
	}
}

func (h *history) came(id int32) {
	h.mu.Lock()
	h.alive[id] = true
	h.elect()
	h.mu.Unlock()
	h.tell()
}

// produce sends a record with acks=all to whoever believes to lead, and notes it if it is acknowledged.
func (h *history) produce() {
	for id := int32(1); id <= 3; id++ {
		n := h.node(id)
		if n == nil {
			continue
		}
		h.mu.Lock()
		v := fmt.Sprint(h.next)
		h.next++
		h.mu.Unlock()
		parts := n.send(AcksAll, produced(h.t, nil, v))
		if parts[0].Err != nil {
			continue
		}
		offset := parts[0].FirstOffset
		h.appcnt.Add(1)
		note := func() {
			defer h.appcnt.Done()
			if parts[0].Err != nil {
				return
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if old, ok := h.acked[offset]; ok {
				h.t.Errorf("offset %d is acknowledged for %s and for %s", offset, old, v)
			}
			h.acked[offset] = v
		}
		if n.Replicated(parts, 5*time.Second, note) {
			note()
		}
	}
}

// produceOnce lets the idempotent producer send its batch to the leader that the controller has named, unless it waits for an answer.
func (h *history) produceOnce() {
	h.mu.Lock()
	n, seq := h.node(max(h.state.Leader, 0)), h.sender.seq
	if n == nil || h.sender.waiting {
		h.mu.Unlock()
		return
	}
	h.sender.waiting = true
	h.sender.tries++
	h.mu.Unlock()
	parts := n.send(AcksAll, producedAt(h.t, n.clk.NowMs(), idempotent(seq), once(seq)))
	offset := parts[0].FirstOffset
	h.appcnt.Add(1)
	note := func() {
		defer h.appcnt.Done()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sender.waiting = false
		switch err := parts[0].Err; {
		case errors.Is(err, kerr.OutOfOrderSequenceNumber):
			h.t.Errorf("sequence %d, try %d: %v", seq, h.sender.tries, err)
		case err == nil:
			h.acked[offset] = once(seq)
			h.sender = sender{seq: seq + 1}
		}
	}
	if parts[0].Err != nil || n.Replicated(parts, 5*time.Second, note) {
		note()
	}
}

func once(seq int32) string { return fmt.Sprint("once-", seq) }

func (h *history) step() {
	id := 1 + h.rnd.Int32N(3)
	up := h.node(id) != nil
	what := ""
	switch k := h.rnd.IntN(20); {
	case k < 9:
		what = "produce"
		h.produceOnce()
		h.produce()
	case k < 12:
		d := time.Duration(h.rnd.IntN(3000)) * time.Millisecond
		what = fmt.Sprint("wait ", d)
		time.Sleep(d)
	case k == 12 && up:
		what = fmt.Sprint("crash ", id)
		h.net.crash(id)
		h.died(id)
	case k <= 14 && !up:
		what = fmt.Sprint("restart ", id)
		h.open(id)
		h.mu.Lock()
		h.lost[id] = false
		h.mu.Unlock()
		h.came(id)
	case k == 15 && up:
		what = fmt.Sprint("the controller loses ", id)
		h.mu.Lock()
		was := h.lost[id]
		h.lost[id] = true
		h.mu.Unlock()
		if !was {
			h.died(id)
		}
	case k == 16 && up:
		what = fmt.Sprint("the controller finds ", id)
		h.mu.Lock()
		was := h.lost[id]
		h.lost[id] = false
		h.mu.Unlock()
		if was {
			h.came(id)
		}
	case k == 17:
		what = fmt.Sprint("cut off ", id)
		h.net.setCut(id, true)
	case k == 18:
		what = fmt.Sprint("reach ", id)
		h.net.setCut(id, false)
	case k == 19:
		what = "long silence"
		time.Sleep(time.Minute)
	}
	if what != "" {
		h.steps = append(h.steps, what)
	}
}

func (h *history) run(steps int) {
	for range steps {
		h.step()
	}
	h.heal()
	if h.t.Failed() {
		h.t.Logf("seed %d: %v", h.seed, h.steps)
	}
	for id := int32(1); id <= 3; id++ {
		if n := h.node(id); n != nil {
			n.down()
		}
	}
	h.appcnt.Wait()
}

// heal brings everybody back, waits until all are in sync, and compares.
func (h *history) heal() {
	for id := int32(1); id <= 3; id++ {
		h.net.setCut(id, false)
		if h.node(id) == nil {
			h.open(id)
		}
		h.mu.Lock()
		h.lost[id] = false
		h.mu.Unlock()
	}
	for id := int32(1); id <= 3; id++ {
		h.came(id)
	}
	h.appcnt.Wait()
	whole := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.state.ISR) == 3
	}
	for i := 0; !whole() || !h.same(); i++ {
		if i > 600 {
			h.t.Errorf("not whole after 10 minutes: %+v; ends %v", h.state, h.ends())
			return
		}
		time.Sleep(time.Second)
	}
	h.mu.Lock()
	leader := h.state.Leader
	h.mu.Unlock()
	want := h.node(leader).values()
	for id := int32(1); id <= 3; id++ {
		if got := h.node(id).values(); !slices.Equal(got, want) {
			h.t.Errorf("broker %d has %v\nbroker %d has %v", leader, want, id, got)
		}
		if a, b := h.node(id).log().EpochStarts(), h.node(leader).log().EpochStarts(); len(a) == 0 || len(b) == 0 {
			h.t.Error("no epochs")
		}
	}
	h.sameProducers(leader)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inOrder(want)
	for offset, v := range h.acked {
		var epoch int32
		var got string
		if int(offset) < len(want) {
			fmt.Sscanf(want[offset], "%d:%s", &epoch, &got)
		}
		if got != v {
			h.t.Errorf("offset %d was acknowledged for %s, and holds %q", offset, v, got)
		}
	}
}

// sameProducers compares what the replicas know of producers.
func (h *history) sameProducers(leader int32) {
	want, err := h.node(leader).Partition(t0).ActiveProducers()
	must(h.t, err)
	for id := int32(1); id <= 3; id++ {
		if got, err := h.node(id).Partition(t0).ActiveProducers(); err != nil || !slices.Equal(got, want) {
			h.t.Errorf("broker %d knows of producers %+v\nbroker %d knows %+v, %v", leader, want, id, got, err)
		}
	}
}

// inOrder checks that the idempotent producer's records are there once each, in order, without a gap. Called with mu held.
func (h *history) inOrder(log []string) {
	next := int32(0)
	for offset, entry := range log {
		_, v, _ := strings.Cut(entry, ":")
		if !strings.HasPrefix(v, "once-") {
			continue
		}
		if v != once(next) {
			h.t.Errorf("offset %d holds %s where %s is due", offset, v, once(next))
			return
		}
		next++
	}
	if next != h.sender.seq && next != h.sender.seq+1 { // the last one may not have been acknowledged
		h.t.Errorf("%d records of the idempotent producer in the log, %d were acknowledged", next, h.sender.seq)
	}
}

func (h *history) ends() []int64 {
	var ends []int64
	for id := int32(1); id <= 3; id++ {
		ends = append(ends, h.node(id).log().LogEndOffset(), h.node(id).log().HighWatermark())
	}
	return ends
}

func (h *history) same() bool {
	e := h.ends()
	return !slices.ContainsFunc(e, func(x int64) bool { return x != e[0] })
}
