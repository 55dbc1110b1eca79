package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"gokafka/clusterview"
	"gokafka/controller"
	"gokafka/metadata"
)

// journalLimit is how many decisions are told unless the request says.
const journalLimit = 100

func (b *Broker) controllerState() clusterview.ControllerState {
	epoch := b.controller.ActiveEpoch()
	return clusterview.ControllerState{BrokerID: b.cfg.ID, Active: epoch >= 0, ControllerEpoch: epoch, ControllerID: b.cache.Image().ControllerID}
}

func (b *Broker) serveControllerState(w http.ResponseWriter, _ *http.Request) {
	b.serveJSON(w, b.controllerState())
}

// serveCluster answers with all that the controller holds.
func (b *Broker) serveCluster(w http.ResponseWriter, r *http.Request) {
	d, err := b.controller.Dump(r.Context())
	if err != nil {
		http.Error(w, "this broker is not the controller", http.StatusConflict)
		return
	}
	c := clusterview.Cluster{ControllerState: b.controllerState(), Brokers: []clusterview.ClusterBroker{}, Topics: []clusterview.ClusterTopic{}}
	c.Active, c.ControllerEpoch = true, d.Epoch
	for _, br := range d.Brokers {
		c.Brokers = append(c.Brokers, clusterview.ClusterBroker{ID: br.ID, BrokerEpoch: br.Epoch, ShuttingDown: br.ShuttingDown})
	}
	for i := range d.Topics {
		c.Topics = append(c.Topics, clusterTopic(&d.Topics[i]))
	}
	b.serveJSON(w, &c)
}

func clusterTopic(t *controller.DumpTopic) clusterview.ClusterTopic {
	out := clusterview.ClusterTopic{Name: t.Name, ID: t.ID.String(), Deleting: t.Deleting, DeletionWaits: t.Waits, PartitionStates: []clusterview.ClusterPartition{}}
	list := func(ids []int32) []int32 { return append([]int32{}, ids...) } // never null
	for _, p := range t.Partitions {
		cp := clusterview.ClusterPartition{
			Partition: p.Partition, State: p.State, Replicas: list(p.Assignment.Replicas), AddingReplicas: list(p.Assignment.Adding),
			RemovingReplicas: list(p.Assignment.Removing), Leader: -1, LeaderEpoch: -1, ISR: []int32{}, PartitionEpoch: -1, ControllerEpoch: -1,
			ReplicaStates: p.Replicas,
		}
		if s := p.Leadership; s != nil {
			cp.Leader, cp.LeaderEpoch, cp.ISR = s.Leader, s.LeaderEpoch, list(s.ISR)
			cp.PartitionEpoch, cp.ControllerEpoch, cp.Recovering = s.PartitionEpoch, s.ControllerEpoch, s.Recovery == metadata.Recovering
		}
		out.PartitionStates = append(out.PartitionStates, cp)
	}
	return out
}

// serveJournal answers with the newest decisions, at most the journal's bound.
func (b *Broker) serveJournal(w http.ResponseWriter, r *http.Request) {
	q, err := journalQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j := clusterview.Journal{ControllerState: b.controllerState()}
	decisions, total := b.controller.Journal(q)
	j.Total, j.Decisions = total, make([]clusterview.Decision, 0, len(decisions))
	for i := range decisions {
		j.Decisions = append(j.Decisions, decision(&decisions[i]))
	}
	b.serveJSON(w, &j)
}

func journalQuery(raw string) (q controller.JournalQuery, err error) {
	q = controller.JournalQuery{Partition: -1, Limit: journalLimit}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, fmt.Errorf("the query cannot be read: %w", err)
	}
	for key, v := range values {
		if len(v) != 1 {
			return q, fmt.Errorf("%s is given %d times", key, len(v))
		}
		switch key {
		case "topic":
			q.Topic = v[0]
		case "partition":
			n, err := strconv.ParseInt(v[0], 10, 32)
			if err != nil || n < 0 {
				return q, fmt.Errorf("partition %q is not a partition's number", v[0])
			}
			q.Partition = int32(n)
		case "limit":
			if q.Limit, err = strconv.Atoi(v[0]); err != nil || q.Limit < 1 || q.Limit > controller.JournalSize {
				return q, fmt.Errorf("limit %q is not a number from 1 to %d", v[0], controller.JournalSize)
			}
		default:
			return q, fmt.Errorf("unknown parameter %q", key)
		}
	}
	return q, nil
}

func decision(d *controller.Decision) clusterview.Decision {
	out := clusterview.Decision{Time: d.At.UTC(), ControllerEpoch: d.ControllerEpoch, Why: d.Why}
	if d.Partition.Topic != "" {
		out.Partition = &clusterview.PartitionDecision{
			Topic: d.Partition.Topic, Partition: d.Partition.Partition, PreviousLeader: d.From, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch,
			ISR: append([]int32{}, d.ISR...), // never null
		}
	}
	return out
}

func (b *Broker) serveJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		b.logger.Error("An HTTP answer could not be encoded", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(append(body, '\n')) // whoever asked may be gone
}
