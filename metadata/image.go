package metadata

import (
	"cmp"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// shards is the number of maps that hold the topics of an Image: an update copies the maps it touches only.
const shards = 64

// Topic is what a broker knows of a topic. Immutable.
type Topic struct {
	Name string
	ID   TopicID
	// Partitions in the order of their numbers. Some may be missing: what is not known takes no room, whatever number a sender names.
	Partitions []*Partition
}

// Partition returns partition p, or nil when it is not known.
func (t *Topic) Partition(p int32) *Partition {
	if t == nil {
		return nil
	}
	if p >= 0 && int(p) < len(t.Partitions) && t.Partitions[p].Index == p { // all of them are known: the rule
		return t.Partitions[p]
	}
	if i, ok := t.find(p); ok {
		return t.Partitions[i]
	}
	return nil
}

// find gives the place of partition p, or where it would be.
func (t *Topic) find(p int32) (int, bool) {
	if n := len(t.Partitions); n == 0 || t.Partitions[n-1].Index < p {
		return n, false // in the order of an update
	}
	return slices.BinarySearchFunc(t.Partitions, p, func(have *Partition, p int32) int { return cmp.Compare(have.Index, p) })
}

// Image is a picture of the cluster. Immutable; the zero Image is empty.
type Image struct {
	// Version counts the updates since the broker's start. 0: none has come yet.
	Version int64
	// NamesVersion is the Version in which a topic last came or went.
	NamesVersion int64
	// ControllerID is the broker id of the controller, -1 if not known.
	ControllerID int32
	brokers      map[int32]*Broker
	brokerIDs    []int32 // sorted
	topics       [shards]map[string]*Topic
	byID         [shards]map[TopicID]*Topic
	topicCount   int
}

var seed = maphash.MakeSeed() // constant after start; only spreads names over shards

func nameShard(name string) int { return int(maphash.String(seed, name) % shards) }
func idShard(id TopicID) int    { return int(id[15] % shards) }

// Broker returns a live broker, or nil.
func (im *Image) Broker(id int32) *Broker { return im.brokers[id] }

// BrokerIDs are the ids of the live brokers, ascending. Not to be changed.
func (im *Image) BrokerIDs() []int32 { return im.brokerIDs }

// Topic returns a topic by name, or nil.
func (im *Image) Topic(name string) *Topic { return im.topics[nameShard(name)][name] }

// TopicByID returns a topic by id, or nil.
func (im *Image) TopicByID(id TopicID) *Topic { return im.byID[idShard(id)][id] }

// Partition returns a partition, or nil.
func (im *Image) Partition(tp TopicPartition) *Partition {
	return im.Topic(tp.Topic).Partition(tp.Partition)
}

// TopicCount is the number of topics.
func (im *Image) TopicCount() int { return im.topicCount }

// Topics yields all topics, in no order.
func (im *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, m := range im.topics {
			for _, t := range m {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// Update is one UpdateMetadata request: it replaces brokers and controller and merges partitions.
type Update struct {
	ControllerID int32
	Brokers      []*Broker
	Topics       []TopicUpdate
}

// TopicUpdate holds the new states of some partitions of a topic.
type TopicUpdate struct {
	Name       string
	ID         TopicID // zero when the sender does not know it
	Partitions []PartitionUpdate
}

// PartitionUpdate is the new state of a partition; a leader of LeaderDuringDelete removes it.
type PartitionUpdate = Partition

// Apply returns the picture after u. Rules: Kafka 3.9 ZkMetadataCache.updateMetadata.
func (im *Image) Apply(u Update) *Image {
	next := &Image{
		Version: im.Version + 1, NamesVersion: im.NamesVersion, ControllerID: u.ControllerID,
		brokers: make(map[int32]*Broker, len(u.Brokers)),
		topics:  im.topics, byID: im.byID, topicCount: im.topicCount,
	}
	for _, b := range u.Brokers {
		next.brokers[b.ID] = b
	}
	next.brokerIDs = slices.Sorted(maps.Keys(next.brokers))
	var copied, copiedID [shards]bool
	for i := range u.Topics {
		next.applyTopic(&u.Topics[i], &copied, &copiedID)
	}
	return next
}

func (im *Image) applyTopic(u *TopicUpdate, copied, copiedID *[shards]bool) {
	s := nameShard(u.Name)
	if !copied[s] {
		im.topics[s] = cloneMap(im.topics[s])
		copied[s] = true
	}
	old := im.topics[s][u.Name]
	t := &Topic{Name: u.Name, ID: u.ID}
	if old != nil {
		if u.ID.IsZero() {
			t.ID = old.ID
		}
		if t.ID == old.ID || old.ID.IsZero() { // else the topic was made anew, and its deletion was not heard
			t.Partitions = slices.Clone(old.Partitions)
		}
	}
	for i := range u.Partitions {
		p := &u.Partitions[i]
		at, ok := t.find(p.Index)
		switch {
		case p.Leader == LeaderDuringDelete && ok:
			t.Partitions = slices.Delete(t.Partitions, at, at+1)
		case p.Leader == LeaderDuringDelete:
		case ok:
			t.Partitions[at] = p
		default:
			t.Partitions = slices.Insert(t.Partitions, at, p)
		}
	}
	setID := func(id TopicID, t *Topic) {
		if id.IsZero() {
			return
		}
		s := idShard(id)
		if !copiedID[s] {
			im.byID[s] = cloneMap(im.byID[s])
			copiedID[s] = true
		}
		if t == nil {
			delete(im.byID[s], id)
		} else {
			im.byID[s][id] = t
		}
	}
	if old != nil {
		setID(old.ID, nil)
		im.topicCount--
	}
	if (old == nil) != (len(t.Partitions) == 0) {
		im.NamesVersion = im.Version
	}
	if len(t.Partitions) == 0 {
		delete(im.topics[s], u.Name)
		return
	}
	im.topics[s][u.Name] = t
	im.topicCount++
	setID(t.ID, t)
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// Without returns the picture without some topics.
func (im *Image) Without(topics []string) *Image {
	u := Update{ControllerID: im.ControllerID}
	for _, id := range im.brokerIDs {
		u.Brokers = append(u.Brokers, im.brokers[id])
	}
	for _, name := range topics {
		if t := im.Topic(name); t != nil {
			tu := TopicUpdate{Name: name, ID: t.ID}
			for _, p := range t.Partitions {
				tu.Partitions = append(tu.Partitions, PartitionUpdate{Index: p.Index, PartitionState: PartitionState{Leader: LeaderDuringDelete}})
			}
			u.Topics = append(u.Topics, tu)
		}
	}
	return im.Apply(u)
}

// Cache publishes the newest Image of a broker. Safe for concurrent use.
type Cache struct {
	mu      sync.Mutex // orders updates
	current atomic.Pointer[Image]
}

// NewCache returns a cache with an empty picture.
func NewCache() *Cache {
	c := &Cache{}
	c.current.Store(&Image{ControllerID: -1})
	return c
}

// Image is the newest picture.
func (c *Cache) Image() *Image { return c.current.Load() }

// Apply merges u into the newest picture and returns the picture before and after.
func (c *Cache) Apply(u Update) (before, after *Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.current.Load()
	after = before.Apply(u)
	c.current.Store(after)
	return before, after
}

// Forget takes topics out of the picture.
func (c *Cache) Forget(topics []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Store(c.current.Load().Without(topics))
}
