package samefiles

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// side is one of the two brokers.
type side struct {
	*harness.Broker
	dir  datadir.Dir
	conn *wire.Conn
	keys map[int16]int16 // that it serves: the lowest version
}

// pair is Apache and gokafka on one ZooKeeper, each below a chroot of its own.
type pair struct {
	zk     *harness.ZooKeeper
	sides  [2]*side // Apache, gokafka
	topics map[string]int32
	// differ are answers that were not the same.
	differ []string
}

func newPair(ctx context.Context, dir string, props map[string]string) (*pair, error) {
	p := &pair{topics: map[string]int32{}}
	var err error
	if p.zk, err = harness.NewZooKeeper(dir); err != nil {
		return nil, err
	}
	if err := p.zk.Start(ctx); err != nil {
		return nil, err
	}
	for i, t := range []harness.Target{harness.Apache, harness.Gokafka} {
		home := filepath.Join(dir, string(t))
		b, err := harness.NewBroker(t, home, harness.Options{ZooKeeper: p.zk.Addr + "/" + string(t), Props: props})
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		b.ReadyTimeout = 3 * time.Minute
		p.sides[i] = &side{Broker: b, dir: datadir.Dir(filepath.Join(home, "data"))}
	}
	return p, nil
}

func (p *pair) close() error {
	for _, s := range p.sides {
		if s != nil {
			s.Kill()
		}
	}
	p.zk.Kill()
	return nil
}

// each does something on both sides, Apache first.
func (p *pair) each(f func(*side) error) error {
	for _, s := range p.sides {
		if err := f(s); err != nil {
			return fmt.Errorf("%s: %w", s.Target, err)
		}
	}
	return nil
}

// elect raises leader epochs, of each topic by another number, the same on both sides.
func (p *pair) elect() error {
	return p.each(func(s *side) error {
		return s.RaiseLeaderEpochs(func(topic string, _ int32) int32 { return int32(len(topic) % 3) }, p.topics)
	})
}

// start starts both and waits for all partitions.
func (p *pair) start(ctx context.Context) error {
	if err := p.sides[1].Launch(ctx); err != nil { // while the JVM takes its time
		return err
	}
	if err := p.sides[0].Launch(ctx); err != nil {
		return err
	}
	return p.each(func(s *side) error {
		if err := s.WaitReady(ctx); err != nil {
			return err
		}
		var err error
		if s.conn, err = wire.Dial(ctx, s.Addr()); err != nil {
			return err
		}
		s.conn.Timeout = 30 * time.Second
		resp, err := s.conn.Ask(kmsg.NewPtrApiVersionsRequest(), 0)
		if err != nil {
			return err
		}
		s.keys = map[int16]int16{}
		for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
			s.keys[k.ApiKey] = k.MinVersion
		}
		return s.await(p.topics)
	})
}

// serve says whether both sides serve an API key.
func (p *pair) serve(key kmsg.Key) bool { return p.serveVersion(key, math.MaxInt16) }

// serveVersion says whether both sides serve a version of a key, or an older one.
func (p *pair) serveVersion(key kmsg.Key, version int16) bool {
	for _, s := range p.sides {
		if lowest, ok := s.keys[int16(key)]; !ok || lowest > version {
			return false
		}
	}
	return true
}

// end ends both, cleanly or by SIGKILL.
func (p *pair) end(ctx context.Context, clean bool) error {
	return p.each(func(s *side) error {
		_ = s.conn.Close()
		if !clean {
			s.Kill()
			return nil
		}
		return s.Stop(ctx)
	})
}

// await waits until every partition of the topics has a leader that answers.
func (s *side) await(topics map[string]int32) error {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = s.ready(topics); err == nil {
			return nil
		}
	}
	return fmt.Errorf("topics: %w", err)
}

// ready asks whether the broker knows the topics, and each partition's log answers: Apache may do the one before the other.
func (s *side) ready(topics map[string]int32) error {
	meta, err := s.conn.Ask(kmsg.NewPtrMetadataRequest(), 7)
	if err != nil {
		return err
	}
	known := map[string]int32{}
	for _, t := range meta.(*kmsg.MetadataResponse).Topics {
		for _, mp := range t.Partitions {
			if t.ErrorCode == 0 && mp.ErrorCode == 0 && mp.Leader == 0 {
				known[*t.Topic]++
			}
		}
	}
	for name, n := range topics {
		if known[name] != n {
			return fmt.Errorf("metadata knows %d partitions of %s, want %d", known[name], name, n)
		}
	}
	return s.answers(topics)
}

func (s *side) answers(topics map[string]int32) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for name, n := range topics {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = name
		for i := range n {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = i, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := s.conn.Ask(req, 5)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, a := range t.Partitions {
			if err := kerr.ErrorForCode(a.ErrorCode); err != nil {
				return fmt.Errorf("%s-%d: %w", t.Topic, a.Partition, err)
			}
		}
	}
	return nil
}

// ask sends one request to both and takes note when the answers, told by text, differ.
func (p *pair) ask(what string, version int16, request func() kmsg.Request, text func(kmsg.Response) string) (string, error) {
	var said [2]string
	for i, s := range p.sides {
		resp, err := s.conn.Ask(request(), version)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", s.Target, what, err)
		}
		said[i] = text(resp)
	}
	if said[0] != said[1] {
		p.differ = append(p.differ, fmt.Sprintf("%s: Apache answers %s, gokafka %s", what, said[0], said[1]))
	}
	return said[0], nil
}

// create makes a topic; settings alternate names and values. The controllers delete topics in their own time, so that a name
// may be taken for a while.
func (p *pair) create(name string, partitions int32, settings ...string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(settings); i += 2 {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = settings[i], kmsg.StringPtr(settings[i+1])
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	p.topics[name] = partitions
	return p.each(func(s *side) error {
		err := error(kerr.TopicAlreadyExists)
		for deadline := time.Now().Add(20 * time.Second); err == kerr.TopicAlreadyExists && time.Now().Before(deadline); {
			resp, aerr := s.conn.Ask(req, 5)
			if aerr != nil {
				return aerr
			}
			err = kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		return s.await(map[string]int32{name: partitions})
	})
}

// produce sends bytes to a partition. Errors in the answers are part of what is compared.
func (p *pair) produce(topic string, partition int32, raw []byte) (string, error) {
	what := fmt.Sprintf("produce %d bytes to %s-%d", len(raw), topic, partition)
	return p.ask(what, 9, func() kmsg.Request { return wire.ProduceRequest(topic, partition, raw) }, func(r kmsg.Response) string {
		a := r.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		return fmt.Sprintf("error %d, offset %d, log start %d, append time %v", a.ErrorCode, a.BaseOffset, a.LogStartOffset, a.LogAppendTime >= 0)
	})
}

func (p *pair) delete(name string) error {
	delete(p.topics, name)
	_, err := p.ask("delete "+name, 4, func() kmsg.Request {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.TopicNames = 30000, []string{name}
		return req
	}, func(r kmsg.Response) string { return fmt.Sprint(r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode) })
	if err != nil {
		return err
	}
	// The answer may come before the directory is renamed.
	return p.each(func(s *side) error {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			names, err := s.dir.Partitions()
			if err != nil || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+"-") && !strings.HasSuffix(n, "-delete") }) {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is still there: %v", name, names)
			}
		}
	})
}

func (p *pair) deleteRecords(topic string, partition int32, to int64) error {
	_, err := p.ask(fmt.Sprintf("delete records of %s-%d to %d", topic, partition, to), 1, func() kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 10000
		rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = partition, to
		rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return req
	}, func(r kmsg.Response) string {
		a := r.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
		return fmt.Sprintf("error %d, low watermark %d", a.ErrorCode, a.LowWatermark)
	})
	return err
}

func (p *pair) grow(topic string, partitions int32) error {
	_, err := p.ask("create partitions of "+topic, 1, func() kmsg.Request {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 30000
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = topic, partitions
		req.Topics = append(req.Topics, rt)
		return req
	}, func(r kmsg.Response) string {
		return fmt.Sprint(r.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
	})
	if err != nil {
		return err
	}
	p.topics[topic] = partitions
	return p.each(func(s *side) error { return s.await(map[string]int32{topic: partitions}) })
}
