package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/fetch"
	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/replication"
	"gokafka/security"
)

// Fetch reads records, versions 0 to 17. Before v4 they are converted: to magic 0 for v0 and v1, to magic 1 for v2 and v3. v1 adds the
// throttle time, v3 a limit for the whole answer (KIP-74), v4 batches of magic 2 and the isolation level (KIP-98), v5 log start offsets, v7 sessions (KIP-227), v9 the leader epoch (KIP-320), v10 zstd,
// v11 racks (KIP-392), v12 is flexible and tells of diverging epochs (KIP-595), v13 names topics by id (KIP-516), v15 moves the
// replica into a tag (KIP-903), v16 hints at the leader (KIP-951), v17 adds the follower's directory (KIP-853).
func (h *Handlers) Fetch(ctx context.Context, r *Request) (Answer, error) {
	decoded, err := protocol.Decode(r.Key, r.Version, r.Body)
	if err != nil {
		return Answer{}, err
	}
	q := decoded.(*kmsg.FetchRequest)
	if !knownIsolation(q.IsolationLevel) {
		return Answer{Fetch: refusedFetch(r.Version, q)}, nil
	}
	resp := h.Fetches.Serve(ctx, h.fetchRequest(ctx, r, q))
	h.finishFetch(r, q, resp)
	return Answer{Fetch: resp}, nil
}

// knownIsolation says whether an isolation level exists.
func knownIsolation(level int8) bool { return level == 0 || level == 1 }

// refusedFetch fails the request and each of its partitions, as Apache does when it stumbles over a field.
func refusedFetch(version int16, q *kmsg.FetchRequest) *protocol.FetchResponse {
	resp := &protocol.FetchResponse{Version: version, ErrorCode: kerr.UnknownServerError.Code}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			p := protocol.NewFetchResult(q.Topics[i].Topic, q.Topics[i].TopicID, q.Topics[i].Partitions[j].Partition)
			p.ErrorCode, p.Aborted = kerr.UnknownServerError.Code, []protocol.AbortedTransaction{}
			resp.Results = append(resp.Results, p)
		}
	}
	return resp
}

// fetchRequest translates the request.
func (h *Handlers) fetchRequest(ctx context.Context, r *Request, q *kmsg.FetchRequest) *fetch.Request {
	f := &fetch.Request{
		Version: r.Version, ReplicaID: q.ReplicaID, Isolation: replication.Isolation(q.IsolationLevel), MaxWait: time.Duration(q.MaxWaitMillis) * time.Millisecond,
		SessionID: fetch.NoSession, SessionEpoch: fetch.EpochFinal,
		BeforeWait: r.Transport.Flush, Code: h.code,
	}
	if r.Version >= 15 {
		f.ReplicaID = q.ReplicaState.ID
	}
	follower := f.ReplicaID >= 0
	if follower {
		f.Isolation = replication.ReadLogEnd
		allowed := h.mayCluster(ctx, r, security.ClusterAction)
		f.Authorize = func(string) error {
			if !allowed {
				return kerr.TopicAuthorizationFailed
			}
			return nil
		}
	} else {
		f.Authorize = func(topic string) error {
			if !h.may(ctx, r, security.Read, security.Topic, topic) {
				return kerr.TopicAuthorizationFailed
			}
			return nil
		}
	}
	f.MaxBytes = int(q.MaxBytes)
	if !follower {
		f.MaxBytes = min(f.MaxBytes, int(h.Config.FetchMaxBytes))
	}
	if r.Version >= 11 {
		f.Rack, f.Listener = q.Rack, r.Conn.Listener
	}
	f.HardLimit = r.Version < 3
	f.MinBytes = min(int(q.MinBytes), f.MaxBytes)
	if r.Version >= 7 {
		f.SessionID, f.SessionEpoch = q.SessionID, q.SessionEpoch
	}
	im := h.Cluster.Image()
	name := func(topic string, id metadata.TopicID) string {
		if r.Version < 13 {
			return topic
		}
		if t := im.TopicByID(id); t != nil {
			return t.Name
		}
		return ""
	}
	for i := range q.Topics {
		t := &q.Topics[i]
		topic := name(t.Topic, t.TopicID)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			part := fetch.Part{
				Topic: topic, ID: t.TopicID, Partition: p.Partition, CurrentEpoch: replication.NoEpoch, FetchOffset: p.FetchOffset,
				LastFetchedEpoch: replication.NoEpoch, LogStartOffset: p.LogStartOffset, MaxBytes: p.PartitionMaxBytes,
			}
			if r.Version >= 9 {
				part.CurrentEpoch = p.CurrentLeaderEpoch
			}
			if r.Version >= 12 {
				part.LastFetchedEpoch = p.LastFetchedEpoch
			}
			f.Parts = append(f.Parts, part)
		}
	}
	for i := range q.ForgottenTopics {
		t := &q.ForgottenTopics[i]
		for _, p := range t.Partitions {
			k := fetch.Key{Topic: t.Topic, Partition: p}
			if r.Version >= 13 {
				k = fetch.Key{ID: t.TopicID, Partition: p}
			}
			f.Forgotten = append(f.Forgotten, k)
		}
	}
	return f
}

// finishFetch adapts an answer to its version: codes, codecs and formats that the client does not know, and addresses of the leaders it is pointed to.
func (h *Handlers) finishFetch(r *Request, q *kmsg.FetchRequest, resp *protocol.FetchResponse) {
	if r.Version < 10 {
		h.finishOldFetch(r, q, resp)
		return
	}
	for i := range resp.Results {
		p := &resp.Results[i]
		if r.Version >= 16 && (p.ErrorCode == kerr.NotLeaderForPartition.Code || p.ErrorCode == kerr.FencedLeaderEpoch.Code) {
			tp := metadata.TopicPartition{Topic: p.Topic, Partition: p.Partition}
			p.Leader, resp.NodeEndpoints = h.leaderHint(tp, p.Leader.LeaderID, p.Leader.LeaderEpoch, r.Conn.Listener, resp.NodeEndpoints)
		}
	}
}
