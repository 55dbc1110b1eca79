package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/controller"
	"gokafka/fetch"
	"gokafka/groups"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/producerid"
	"gokafka/protocol"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/settings"
	"gokafka/topics"
	"gokafka/transactions"
)

// Options are what the handlers work on. All are needed.
type Options struct {
	BrokerID     int32
	ClusterID    string
	BrokerEpoch  func() int64 // of the current registration
	Config       *config.Broker
	Cluster      *metadata.Cache
	Replicas     *replication.Manager
	Fetches      *fetch.Manager
	Controller   *controller.Controller
	Topics       *topics.Manager
	Groups       *groups.Coordinator
	Transactions *transactions.Coordinator
	OldOffsets   OldOffsets
	Settings     *settings.Manager
	ProducerIDs  *producerid.Manager
	Codecs       *record.Codecs // converts for old consumers
	Authorizer   security.Authorizer
	Clock        *clock.Clock
	Logger       *slog.Logger
	// FinalizedFeatures gives the version of /feature and what it holds.
	FinalizedFeatures func() (epoch int64, levels map[string]int16)
	// SupportedFeatures are those that this broker can have finalized.
	SupportedFeatures map[string]controller.FeatureRange
	// AwaitFeatures waits until what FinalizedFeatures gives is of an epoch, or a later one.
	AwaitFeatures func(ctx context.Context, epoch int64) error
	// ModernGroups says whether groups of KIP-848's protocol are served.
	ModernGroups func() bool
	// TopicsExist asks ZooKeeper whether there are topics. It must not take long.
	TopicsExist func(ctx context.Context) bool
	// MetadataUpdated is called after an UpdateMetadata was applied, with the topics it named.
	MetadataUpdated func(topics []string)
	// Observe is called for each answered request.
	Observe func(key int16, took time.Duration, failed bool)
}

// OldOffsets are committed offsets in ZooKeeper, where the first versions of OffsetCommit and OffsetFetch have them.
type OldOffsets interface {
	Commit(ctx context.Context, group, topic string, partition int32, offset int64) error
	Fetch(ctx context.Context, group, topic string, partition int32) (offset int64, there bool, err error)
}

// Handlers serve the requests of one broker.
type Handlers struct {
	Options
	rows    []Row
	table   [maxKey + 1]*Row // by key
	waiting *topicWaits
	// ready is closed when the first UpdateMetadata that lists this broker was applied: from then on it serves clients.
	ready     chan struct{}
	readyOnce atomic.Bool
	// listed is set by an UpdateMetadata that lists this broker, and no topics.
	listed atomic.Bool
}

// New returns handlers for o.
func New(o Options) *Handlers {
	h := &Handlers{Options: o, rows: Table(), ready: make(chan struct{}), waiting: newTopicWaits(o.Cluster)}
	for i := range h.rows {
		h.table[h.rows[i].Key.Int16()] = &h.rows[i]
	}
	return h
}

// Ready is closed once the broker serves clients.
func (h *Handlers) Ready() <-chan struct{} { return h.ready }

// readyTimeout bounds how long a request waits for the broker to know the cluster. After it the request is served with what is known.
const readyTimeout = 60 * time.Second

// Serve serves a request. It answers, or says that the answer comes later; an error closes the connection without an answer.
func (h *Handlers) Serve(ctx context.Context, r *Request) (Answer, error) {
	row := h.row(r.Key)
	if row == nil {
		return Answer{}, fmt.Errorf("%w: key %d is not served", protocol.ErrMalformed, r.Key)
	}
	if r.Version < row.Min || r.Version > row.Max {
		if r.Key == protocol.KeyApiVersions {
			return h.unsupportedApiVersions(r)
		}
		return Answer{}, fmt.Errorf("%w: version %d of %s is not served", protocol.ErrMalformed, r.Version, row.Key.Name())
	}
	if !row.control {
		if err := h.awaitReady(ctx); err != nil {
			return Answer{}, err
		}
	}
	if !row.fast {
		r.Transport.Flush() // what was answered before does not wait for this one
	}
	a, err := row.Serve(h, ctx, r)
	if !a.Pending {
		h.Observe(r.Key, h.Clock.Mono()-r.Start, err != nil || a.Close)
	}
	return a, err
}

func (h *Handlers) row(key int16) *Row {
	if key < 0 || int(key) >= len(h.table) {
		return nil
	}
	return h.table[key]
}

func (h *Handlers) awaitReady(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	default:
	}
	t := h.Clock.NewTimer(readyTimeout)
	defer t.Stop()
	select {
	case <-h.ready:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// becomeReady lets the requests of clients through once the picture of the cluster is one. The first that a new controller tells has the brokers alone: as long as
// there are topics, a broker without any waits a while for the next one, or it would deny them.
func (h *Handlers) becomeReady(ctx context.Context, im *metadata.Image) {
	if h.readyOnce.Load() || im.Broker(h.BrokerID) == nil {
		return
	}
	if im.TopicCount() > 0 || h.listed.Swap(true) || !h.TopicsExist(ctx) {
		h.markReady()
		return
	}
	h.Clock.AfterFunc(pictureWait, h.markReady)
}

// pictureWait is how long a broker waits for topics to be told after the brokers were.
const pictureWait = 2 * time.Second

// markReady lets the requests of clients through.
func (h *Handlers) markReady() {
	if !h.readyOnce.Swap(true) {
		close(h.ready)
	}
}

// may asks the authorizer.
func (h *Handlers) may(ctx context.Context, r *Request, op security.Operation, t security.ResourceType, name string) bool {
	return h.Authorizer.Authorize(ctx, r.Conn.Principal, r.Conn.Host, op, t, name)
}

// mayCluster asks the authorizer about the cluster.
func (h *Handlers) mayCluster(ctx context.Context, r *Request, op security.Operation) bool {
	return h.may(ctx, r, op, security.Cluster, security.ClusterName)
}

// code is the error code of err: 0 for nil, the code of the kerr value in it, else UNKNOWN_SERVER_ERROR, which is also logged.
func (h *Handlers) code(err error) int16 {
	if err == nil {
		return 0
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return ke.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return kerr.RequestTimedOut.Code
	}
	h.Logger.Error("Unexpected error while serving a request", "error", err)
	return kerr.UnknownServerError.Code
}

// text is the message for err in an answer, in Apache's words where there are such; nil for none.
func text(err error) *string {
	var te *topics.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &te):
		return optional(te.Message)
	}
	var ce *config.Error
	if errors.As(err, &ce) {
		return &ce.Message
	}
	var se *settings.Error
	if errors.As(err, &se) {
		return optional(se.Message)
	}
	var pe *controller.Error
	if errors.As(err, &pe) {
		return optional(pe.Message)
	}
	return nil
}

// message is text, and where that has none the text of the code, as Apache's ApiError gives one.
func message(err error) *string {
	if err == nil {
		return nil
	}
	if t := text(err); t != nil {
		return t
	}
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		ke = kerr.UnknownServerError
	}
	return optional(ke.Description)
}

// endpoint gives a broker's address on the listener that the request came in on.
func endpoint(im *metadata.Image, id int32, listener string) (metadata.Endpoint, bool) {
	b := im.Broker(id)
	if b == nil {
		return metadata.Endpoint{}, false
	}
	return b.Endpoint(listener)
}

// noOperations stands where authorized operations were not asked for.
const noOperations int32 = -1 << 31

// operations is the bit set of the operations that the requester may do to a resource.
func (h *Handlers) operations(ctx context.Context, r *Request, t security.ResourceType, name string) int32 {
	var set int32
	for _, op := range operationsOf[t] {
		if h.may(ctx, r, op, t, name) {
			set |= 1 << op
		}
	}
	return set
}

// operationsOf are the operations that exist for a type of resource (Kafka 3.9 AclEntry.supportedOperations).
var operationsOf = map[security.ResourceType][]security.Operation{
	security.Topic:   {security.Read, security.Write, security.Create, security.Describe, security.Delete, security.Alter, security.DescribeConfigs, security.AlterConfigs},
	security.Group:   {security.Read, security.Describe, security.Delete},
	security.Cluster: {security.Create, security.ClusterAction, security.DescribeConfigs, security.AlterConfigs, security.IdempotentWrite, security.Alter, security.Describe},
}
