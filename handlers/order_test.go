package handlers_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataRequest(topics ...string) *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.Topics = 12, []kmsg.MetadataRequestTopic{}
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		q.Topics = append(q.Topics, t)
	}
	return q
}

// Answers come in the order of their requests, also when one in the middle waits; and those before it do not wait for it.
func TestOrder(t *testing.T) {
	n := start(t, setup{})
	n.create("a", 1)
	c := n.dial()
	requests := []kmsg.Request{
		metadataRequest("a"), produceRequest(9, -1, "a", batch(t, 1, -1, 0, 0)), apiVersions(), fetchRequest("a", 1, patience), metadataRequest("a"),
		produceRequest(9, -1, "a", batch(t, 2, -1, 0, 0)), fetchRequest("a", 0, patience), metadataRequest("a"),
	}
	for _, q := range requests {
		c.send(q)
	}
	answers := make([]kmsg.Response, len(requests))
	for i, q := range requests[:3] {
		answers[i] = c.answer(q, int32(i+1))
	}
	if r := answers[1].(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].BaseOffset != 0 {
		t.Error("first produce:", r.Topics[0].Partitions[0])
	}
	// The fetch waits, and all that comes after it. A record of another connection ends that.
	if r := once[*kmsg.ProduceResponse](n, produceRequest(9, 1, "a", batch(t, 1, -1, 0, 0))); r.Topics[0].Partitions[0].BaseOffset != 1 {
		t.Error("the produce that comes after the fetch was served before the fetch was answered:", r.Topics[0].Partitions[0])
	}
	for i, q := range requests[3:] {
		answers[i+3] = c.answer(q, int32(i+4))
	}
	if p := answers[3].(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Error("the waiting fetch:", p)
	}
	if p := answers[5].(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.BaseOffset != 2 {
		t.Error("second produce:", p)
	}
}

// A produce without acks is not answered; an error closes the connection, after the answers to what came before.
func TestNoAcks(t *testing.T) {
	n := start(t, setup{})
	n.create("a", 1)
	c := n.dial()
	c.send(produceRequest(9, 0, "a", batch(t, 3, -1, 0, 0)))
	if r := ask[*kmsg.FetchResponse](c, fetchRequest("a", 0, patience)); r.Topics[0].Partitions[0].HighWatermark != 3 {
		t.Error("after a produce without acks:", r.Topics[0].Partitions[0])
	}
	once[*kmsg.ProduceResponse](n, produceRequest(9, 1, "a", batch(t, 1, 7, 0, 0)))
	for what, q := range map[string]*kmsg.ProduceRequest{
		"unknown topic":   produceRequest(9, 0, "nope", batch(t, 1, -1, 0, 0)),
		"empty records":   produceRequest(9, 0, "a", nil),
		"a batch cut off": produceRequest(9, 0, "a", batch(t, 1, -1, 0, 0)[:60]),
		"out of order":    produceRequest(9, 0, "a", batch(t, 1, 7, 0, 5)),
	} {
		c := n.dial()
		first := c.send(metadataRequest("a"))
		c.send(q)
		c.answer(metadataRequest("a"), first)
		if !c.closed() {
			t.Errorf("%s: the connection stays open", what)
		}
	}
	// With acks the same is an answer.
	if r := once[*kmsg.ProduceResponse](n, produceRequest(9, 1, "nope", batch(t, 1, -1, 0, 0))); r.Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Error("unknown topic with acks=1:", r.Topics[0].Partitions[0])
	}
	if r := once[*kmsg.ProduceResponse](n, produceRequest(9, 2, "a", batch(t, 1, -1, 0, 0))); r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequiredAcks.Code {
		t.Error("acks=2:", r.Topics[0].Partitions[0])
	}
}

// Closing the broker ends fetches that wait.
func TestStopEndsWaits(t *testing.T) {
	n := start(t, setup{})
	n.create("a", 1)
	c := n.dial()
	c.send(fetchRequest("a", 0, time.Hour))
	n.stop()
	if n.log.has("Panic") {
		t.Error("panic")
	}
}
