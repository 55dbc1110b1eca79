package handlers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/topics"
	"gokafka/transactions"
)

// adminClientID is the client id that may write to internal topics (Kafka 3.9 AdminUtils.ADMIN_CLIENT_ID).
const adminClientID = "__admin_client"

// produceScratch is the memory that a connection's Produce requests reuse.
type produceScratch struct {
	parts   []protocol.ProducePart
	appends []replication.Append
	names   []byte // of topics that a request has by their ids
	resp    protocol.ProduceResponse
}

// Produce appends records, versions 0 to 13. v0 and v1 carry messages of magic 0, v2 of magic 1 too (KIP-32); they are converted to batches
// of magic 2, as which clients may send them already. v1 adds the throttle time, v2 the append time, v3 batches and transactions (KIP-98).
// v4 may answer KAFKA_STORAGE_ERROR, v5 adds the log start offset, v7 zstd (KIP-110), v8 record errors (KIP-467), v9 is flexible, v10 hints at the leader (KIP-951), v11 may answer TRANSACTION_ABORTABLE (KIP-890),
// v12 takes the partitions into the transaction (transaction version 2), v13 names topics by their ids (KIP-516).
//
// The append is done, in the order of the connection's requests, when Produce returns; with acks=all the answer may come
// later. acks=0 is never answered: an error closes the connection, which is how the client learns of it.
func (h *Handlers) Produce(ctx context.Context, r *Request) (Answer, error) {
	s := &r.Conn.Scratch.produce
	head, parts, err := protocol.ReadProduce(r.Version, r.Body, s.parts[:0])
	s.parts = parts[:0]
	if err != nil {
		return Answer{}, err
	}
	appends := h.planProduce(ctx, r, head, parts, s.appends[:0])
	defer clear(appends) // let go of the records
	s.appends = appends[:0]
	h.Replicas.Append(head.Acks, appends)
	if head.Acks == replication.AcksAll && !h.Replicas.Ready(appends) {
		// The parts outlive the request's bytes and the connection's scratch: take them out of both.
		own := slices.Clone(appends)
		for i := range own {
			own[i].Topic, own[i].Records = slices.Clone(own[i].Topic), nil
		}
		timeout := time.Duration(head.TimeoutMs) * time.Millisecond
		start, version, listener, transport := r.Start, r.Version, r.Conn.Listener, r.Transport
		finish := func() (Answer, bool) {
			resp := &protocol.ProduceResponse{Version: version}
			failed := h.produceResults(resp, own, listener)
			return Answer{Body: resp}, failed
		}
		later := func() {
			answer, failed := finish()
			h.Observe(protocol.KeyProduce, h.Clock.Mono()-start, failed) // Serve observes only what it answers itself
			transport.Complete(answer)
		}
		if h.Replicas.Replicated(own, timeout, later) {
			answer, _ := finish()
			return answer, nil
		}
		return Answer{Pending: true}, nil
	}
	s.resp = protocol.ProduceResponse{Version: r.Version, Results: s.resp.Results[:0]}
	failed := h.produceResults(&s.resp, appends, r.Conn.Listener)
	if head.Acks == replication.AcksNone {
		if failed {
			h.Logger.Info("Closing connection due to an error during a produce request with acks=0", "clientId", r.ClientID)
		}
		return Answer{Close: failed}, nil
	}
	return Answer{Body: &s.resp}, nil
}

// planProduce turns the parts of a request into appends; those that are refused before the append carry their error.
func (h *Handlers) planProduce(ctx context.Context, r *Request, head protocol.ProduceHead, parts []protocol.ProducePart, appends []replication.Append) []replication.Append {
	transactional, refused := scanBatches(parts)
	switch {
	case refused != nil:
	case transactional && (head.TransactionalID == nil || !h.may(ctx, r, security.Write, security.TransactionalID, string(head.TransactionalID))):
		refused = kerr.TransactionalIDAuthorizationFailed
	}
	im := h.Cluster.Image()
	names := r.Conn.Scratch.produce.names[:0]
	for i := range parts {
		p := &parts[i]
		var topic *metadata.Topic
		if r.Version < 13 {
			topic = im.Topic(string(p.Topic))
		} else if topic = im.TopicByID(p.TopicID); topic != nil {
			at := len(names)
			names = append(names, topic.Name...)
			p.Topic = names[at:len(names):len(names)]
		}
		a := replication.Append{Topic: p.Topic, TopicID: p.TopicID, Partition: p.Partition, Records: p.Records, Version: r.Version}
		switch {
		case refused != nil:
			a.Err = refused
		case topic == nil && r.Version >= 13:
			a.Err = kerr.UnknownTopicID
		default:
			a.Err = h.checkProduce(ctx, r, topic, head.Acks, p)
		}
		if at := slices.IndexFunc(appends, func(b replication.Append) bool {
			return b.Partition == a.Partition && b.TopicID == a.TopicID && string(b.Topic) == string(a.Topic)
		}); at >= 0 && len(parts) > 1 {
			appends[at] = a // Apache keeps the parts in a map: the last one of a partition counts
			continue
		}
		appends = append(appends, a)
	}
	r.Conn.Scratch.produce.names = names
	if r.Version < 3 {
		refuseBroken(appends)
	}
	if transactional && refused == nil {
		h.verifyTransaction(ctx, r, string(head.TransactionalID), appends)
	}
	if len(parts) > 1 {
		// The answer groups partitions by topic.
		slices.SortStableFunc(appends, func(a, b replication.Append) int {
			return cmp.Or(slices.Compare(a.Topic, b.Topic), slices.Compare(a.TopicID[:], b.TopicID[:]))
		})
	}
	return appends
}

// scanBatches looks at the header of each part's first batch, as Apache does before anything else (RequestUtils.hasTransactionalRecords): one that cannot be cut
// off refuses the request as a whole.
func scanBatches(parts []protocol.ProducePart) (transactional bool, refused error) {
	for i := range parts {
		b, _, err := record.Next(parts[i].Records)
		if errors.Is(err, kerr.CorruptMessage) {
			return false, &topics.Error{Code: kerr.CorruptMessage, Message: err.Error()}
		}
		if err == nil && b.IsTransactional() { // one that is cut short, or of an old format, is the partition's own affair
			return true, nil
		}
	}
	return false, nil
}

// refuseBroken refuses a request of message sets as a whole if one that might be appended cannot be cut into messages: Apache looks through all of them for
// transactions before it appends any (ReplicaManager.handleProduceAppend).
func refuseBroken(appends []replication.Append) {
	for i := range appends {
		if appends[i].Err != nil {
			continue
		}
		for rest := appends[i].Records; ; {
			_, _, behind, err := record.NextAny(rest)
			if errors.Is(err, kerr.CorruptMessage) {
				for j := range appends {
					appends[j].Err = kerr.CorruptMessage
				}
				return
			}
			if err != nil {
				break
			}
			rest = behind
		}
	}
}

// checkProduce makes the checks that precede the append. topic is nil if it is not known.
func (h *Handlers) checkProduce(ctx context.Context, r *Request, topic *metadata.Topic, acks int16, p *protocol.ProducePart) error {
	name := ""
	if topic != nil {
		name = topic.Name // no allocation for a known topic
	} else {
		name = string(p.Topic)
	}
	switch {
	case !h.may(ctx, r, security.Write, security.Topic, name):
		return kerr.TopicAuthorizationFailed
	case topic.Partition(p.Partition) == nil:
		return kerr.UnknownTopicOrPartition
	}
	if r.Version >= 3 {
		if _, err := record.ProduceBatch(p.Records, r.Version < 7); err != nil {
			return err
		}
	} else if p.Records == nil {
		return kerr.InvalidRecord
	}
	switch {
	case acks != replication.AcksNone && acks != replication.AcksLeader && acks != replication.AcksAll:
		return kerr.InvalidRequiredAcks
	case topics.IsInternal(name) && r.ClientID != adminClientID:
		return kerr.InvalidTopicException
	}
	return nil
}

// verifyTransaction asks the coordinator whether the partitions of transactional records are in the transaction, unless that is known (KIP-890): what comes late,
// after its transaction has ended, must not begin one that nobody would end. Kafka 3.9 ReplicaManager.handleProduceAppend.
func (h *Handlers) verifyTransaction(ctx context.Context, r *Request, id string, appends []replication.Append) {
	producer, many := transactions.Producer{ID: record.NoProducerID}, false
	transactional := make([]record.Batch, len(appends))
	for i := range appends {
		if a := &appends[i]; a.Err == nil {
			b, _, err := record.Next(a.Records)
			if err != nil || !b.IsTransactional() || !b.HasProducerID() {
				continue
			}
			p := transactions.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch()}
			many = many || producer.ID != record.NoProducerID && producer != p
			producer, transactional[i] = p, b
		}
	}
	if many {
		for i := range appends {
			appends[i].Err = kerr.InvalidProducerIDMapping
		}
		return
	}
	client := transactionClient(r.Version, 11, 12)
	if client != transactions.AddingClient && !h.Settings.Broker().TransactionVerification {
		return
	}
	var ask []metadata.TopicPartition
	var asked []int
	for i, b := range transactional {
		if b == nil {
			continue
		}
		a := &appends[i]
		if a.Guard, a.Err = h.Replicas.StartVerification(a.Topic, a.Partition, producer.ID, b.BaseSequence(), producer.Epoch); a.Err == nil && a.Guard != 0 {
			ask, asked = append(ask, metadata.TopicPartition{Topic: string(a.Topic), Partition: a.Partition}), append(asked, i)
		}
	}
	if len(ask) == 0 {
		return
	}
	r.Transport.Flush()
	for n, err := range h.Transactions.Verify(ctx, id, producer, ask, client) {
		a := &appends[asked[n]]
		var ke *kerr.Error
		switch {
		case err == nil:
			continue
		case errors.Is(err, kerr.InvalidTxnState):
			a.ErrorMessage = "Partition was not added to the transaction"
		case client == transactions.AddingClient && errors.Is(err, kerr.ConcurrentTransactions): // it knows that its transaction before is being completed
		case errors.As(err, &ke) && slices.Contains(unverified, ke): // what every client tries again, without looking for another leader
			a.ErrorMessage = "Unable to verify the partition has been added to the transaction. Underlying error: " + ke.Message
			err = kerr.NotEnoughReplicas
		}
		a.Err = err
	}
}

// transactionClient is what a client knows that asks in version, of a request that may answer TRANSACTION_ABORTABLE from one version on and is of transaction version 2 from another.
func transactionClient(version, abortable, adding int16) transactions.Client {
	switch {
	case version >= adding:
		return transactions.AddingClient
	case version >= abortable:
		return transactions.AbortableClient
	}
	return transactions.OldClient
}

// unverified are the reasons why a transaction could not be verified yet.
var unverified = []*kerr.Error{kerr.ConcurrentTransactions, kerr.NetworkException, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator}

// produceResults writes the outcome of appends into resp and says whether one of them failed.
func (h *Handlers) produceResults(resp *protocol.ProduceResponse, appends []replication.Append, listener string) (failed bool) {
	for i := range appends {
		a := &appends[i]
		res := protocol.ProduceResult{
			Topic: a.Topic, TopicID: a.TopicID, Partition: a.Partition, ErrorCode: h.code(a.Err), BaseOffset: a.FirstOffset, LogAppendTime: a.LogAppendTime,
			LogStartOffset: a.LogStartOffset, Leader: protocol.NoLeaderHint,
		}
		if a.Err != nil {
			failed = true
			res.ErrorMessage = a.ErrorMessage
			var te *topics.Error
			if errors.As(a.Err, &te) {
				res.ErrorMessage = te.Message
			}
			for _, e := range a.RecordErrors {
				res.RecordErrors = append(res.RecordErrors, protocol.RecordError{BatchIndex: e.BatchIndex, Message: e.Message})
			}
			if res.ErrorCode == kerr.NotLeaderForPartition.Code && resp.Version >= 10 {
				tp := metadata.TopicPartition{Topic: string(a.Topic), Partition: a.Partition}
				res.Leader, resp.NodeEndpoints = h.leaderHint(tp, a.Leader, a.LeaderEpoch, listener, resp.NodeEndpoints)
			}
		}
		resp.Results = append(resp.Results, res)
	}
	return failed
}

// leaderHint names the current leader of a partition and adds its address to nodes (KIP-951). leader and epoch are what the partition itself knows, or -1.
// Kafka 3.9 KafkaApis.getCurrentLeader.
func (h *Handlers) leaderHint(tp metadata.TopicPartition, leader, epoch int32, listener string, nodes []protocol.NodeEndpoint) (protocol.LeaderHint, []protocol.NodeEndpoint) {
	im := h.Cluster.Image()
	if leader < 0 && epoch < 0 {
		if p := im.Partition(tp); p != nil {
			leader, epoch = p.Leader, p.LeaderEpoch
		}
	}
	if e, ok := endpoint(im, leader, listener); ok && !slices.ContainsFunc(nodes, func(n protocol.NodeEndpoint) bool { return n.NodeID == leader }) {
		nodes = append(nodes, protocol.NodeEndpoint{NodeID: leader, Host: e.Host, Port: e.Port, Rack: im.Broker(leader).Rack})
	}
	return protocol.LeaderHint{LeaderID: leader, LeaderEpoch: epoch}, nodes
}
