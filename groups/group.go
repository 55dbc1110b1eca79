package groups

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/clock"
)

// State is a state of a classic group.
type State string

// The states, by their names on the wire.
const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	Dead                State = "Dead"
)

// consumerProtocol is the protocol type of consumers, whose metadata the coordinator can read.
const consumerProtocol = "consumer"

// Protocol is a way of assigning that a member can go, with what it says for it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// member is a member of a group (Kafka 3.9 MemberMetadata).
type member struct {
	id               string
	instance         *string // of a static member (KIP-345)
	clientID, host   string
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocolType     string
	protocols        []Protocol
	assignment       []byte

	join func(JoinResult) // waits for the end of the rebalance; nil = does not
	sync func(SyncResult) // waits for its assignment; nil = does not

	isNew     bool // has not got its first answer
	satisfied bool // a heartbeat came since the timer was set
	timer     *clock.Timer
	beat      int // counts the timers, so that one that fires late is known
	order     int // of joining
}

// memberBytes is about what a member takes beside what it sends.
const memberBytes = 512

func (m *member) bytes() int {
	n := memberBytes + len(m.id) + len(m.clientID) + len(m.host) + len(m.assignment)
	for _, p := range m.protocols {
		n += len(p.Name) + len(p.Metadata)
	}
	return n
}

func (m *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b Protocol) bool { return a.Name == b.Name && slices.Equal(a.Metadata, b.Metadata) })
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// alive says whether the member's timer need not remove it (Kafka 3.9 MemberMetadata.hasSatisfiedHeartbeat).
func (m *member) alive() bool {
	if !m.isNew && (m.join != nil || m.sync != nil) {
		return true
	}
	return m.satisfied
}

// group is one group (Kafka 3.9 GroupMetadata).
type group struct {
	id           string
	state        State
	stateMs      int64 // since when; -1 unknown
	protocolType *string
	generation   int32
	protocol     *string
	leader       *string
	members      map[string]*member
	static       map[string]string               // member ids by instance id
	pending      map[string]*pendingID           // ids that were given out (KIP-394)
	pendingSync  map[string]bool                 // members that have to sync
	subscribed   map[string]bool                 // topics of consumers; nil = not known
	offsets      map[topicPart]*offset           // those committed
	onTheWay     map[topicPart][]*offset         // commits that are not replicated yet, the last one last
	txns         map[int64]map[topicPart]*offset // commits of open transactions, by producer
	newMember    bool                            // joined while the first rebalance waits
	initialWait  bool                            // the first rebalance waits for more members
	joinTimer    *clock.Timer
	joinRound    int // counts the waits for joins
	syncTimer    *clock.Timer
	joined       int          // counts members that ever joined, for their order
	unsaved      bool         // the log has an older generation
	modern       *modernGroup // of KIP-848's protocol; nil = a classic group
	counted      int          // bytes of the members that are in Coordinator.held
}

type pendingID struct{ timer *clock.Timer }

type topicPart struct {
	topic     string
	partition int32
}

// offset is a committed offset.
type offset struct {
	at          int64
	leaderEpoch int32 // -1 unknown
	metadata    string
	commitMs    int64
	expireMs    int64 // -1 = by the retention of offsets
	logOffset   int64 // of its record: later commits win
}

func newGroup(id string, nowMs int64) *group {
	return &group{id: id, state: Empty, stateMs: nowMs, members: map[string]*member{}, static: map[string]string{}, pending: map[string]*pendingID{},
		pendingSync: map[string]bool{}, offsets: map[topicPart]*offset{}, onTheWay: map[topicPart][]*offset{}, txns: map[int64]map[topicPart]*offset{}}
}

func (g *group) is(states ...State) bool { return slices.Contains(states, g.state) }

func (g *group) to(s State, nowMs int64) { g.state, g.stateMs = s, nowMs }

func (g *group) bytes() int {
	n := 0
	if g.modern != nil {
		for _, m := range g.modern.members {
			n += m.bytes()
		}
	}
	for _, m := range g.members {
		n += m.bytes()
	}
	return n
}

// sorted are the members in the order in which they joined.
func (g *group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return cmp.Compare(a.order, b.order) })
}

func (g *group) isLeader(id string) bool { return g.leader != nil && *g.leader == id }

func (g *group) add(m *member, join func(JoinResult)) {
	if len(g.members) == 0 {
		g.protocolType = &m.protocolType
	}
	if g.leader == nil {
		g.leader = &m.id
	}
	g.joined++
	m.order, m.join = g.joined, join
	g.members[m.id] = m
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	g.dropPending(m.id)
}

func (g *group) remove(id string) {
	if m := g.members[id]; m != nil {
		m.stopTimer()
		delete(g.members, id)
		if m.instance != nil && g.static[*m.instance] == id {
			delete(g.static, *m.instance)
		}
	}
	if g.isLeader(id) {
		g.leader = nil
		if rest := g.sorted(); len(rest) > 0 {
			g.leader = &rest[0].id
		}
	}
	g.dropPending(id)
	delete(g.pendingSync, id)
}

func (g *group) dropPending(id string) {
	if p := g.pending[id]; p != nil {
		p.timer.Stop()
		delete(g.pending, id)
	}
}

func (m *member) stopTimer() {
	m.beat++
	if m.timer != nil {
		m.timer.Stop()
	}
}

// waiting is how many members wait for the rebalance to end.
func (g *group) waiting() int {
	n := 0
	for _, m := range g.members {
		if m.join != nil {
			n++
		}
	}
	return n
}

func (g *group) allJoined() bool { return g.waiting() == len(g.members) && len(g.pending) == 0 }

// electJoined makes sure that the leader is among those who joined, if anybody did.
func (g *group) electJoined() bool {
	if g.leader == nil {
		return false
	}
	if m := g.members[*g.leader]; m != nil && m.join != nil {
		return true
	}
	for _, m := range g.sorted() {
		if m.join != nil {
			g.leader = &m.id
			return true
		}
	}
	return false
}

func (g *group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// candidates are the protocols that all members know.
func (g *group) candidates() map[string]bool {
	out := map[string]bool{}
	counts := map[string]int{}
	for _, m := range g.members {
		seen := map[string]bool{}
		for _, p := range m.protocols {
			if !seen[p.Name] {
				seen[p.Name] = true
				counts[p.Name]++
			}
		}
	}
	for name, n := range counts {
		if n == len(g.members) {
			out[name] = true
		}
	}
	return out
}

// supports says whether a member with these protocols fits in.
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if g.is(Empty) {
		return protocolType != "" && len(protocols) > 0
	}
	candidates := g.candidates()
	return g.protocolType != nil && *g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p Protocol) bool { return candidates[p.Name] })
}

// selectProtocol is the one with the most votes: each member votes for the first that it names of those that all know.
func (g *group) selectProtocol() string {
	candidates := g.candidates()
	votes := map[string]int{}
	var order []string
	for _, m := range g.sorted() {
		for _, p := range m.protocols {
			if candidates[p.Name] {
				if votes[p.Name] == 0 {
					order = append(order, p.Name)
				}
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range order {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// nextGeneration begins a generation with the members that are there.
func (g *group) nextGeneration(nowMs int64) {
	g.generation++
	if len(g.members) == 0 {
		g.protocol = nil
		g.subscribed = g.subscriptions()
		g.to(Empty, nowMs)
	} else {
		p := g.selectProtocol()
		g.protocol = &p
		g.subscribed = g.subscriptions()
		g.to(CompletingRebalance, nowMs)
	}
	clear(g.pendingSync)
}

// subscriptions are the topics that consumers are subscribed to; nil if that cannot be known (Kafka 3.9 GroupMetadata.computeSubscribedTopics).
func (g *group) subscriptions() map[string]bool {
	if g.protocolType == nil || *g.protocolType != consumerProtocol {
		return nil
	}
	out := map[string]bool{}
	if len(g.members) == 0 || g.protocol == nil {
		return out
	}
	for _, m := range g.members {
		var sub kmsg.ConsumerMemberMetadata
		if err := sub.ReadFrom(m.metadata(*g.protocol)); err != nil {
			return nil
		}
		for _, t := range sub.Topics {
			out[t] = true
		}
	}
	return out
}

// newID makes a member id: the client's id, or the instance's, and a random UUID.
func newID(clientID string, instance *string) string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	prefix := clientID
	if instance != nil {
		prefix = *instance
	}
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", prefix, b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
