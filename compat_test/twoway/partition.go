package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/wire"
)

// partition is what one partition must hold, and the only producer that writes to it. Records are numbered by their
// offsets: the one at offset 7 carries the text of 7.
type partition struct {
	topic
	index int32
	pid   int64
	seq   int32 // of the next idempotent batch
	end   int64 // offset of the next record
	start int64 // log start
	// oldStart is the start that is sure to be in the checkpoint; a kill may lead back to it.
	oldStart int64
	epochs   []datadir.Epoch
	last     *batch // the last idempotent one that is in the log
	pending  *batch // sent before the broker was killed; nobody read an answer
	rnd      *rand.Rand
}

type batch struct {
	bytes []byte
	first int64 // offset it has, or will have
	n     int
}

func (p *partition) String() string { return fmt.Sprintf("%s-%d", p.name, p.index) }

func (p *partition) key(offset int64) string {
	if p.keys > 0 {
		return fmt.Sprintf("key-%d", offset%int64(p.keys))
	}
	return fmt.Sprintf("key-%d", offset)
}

func (p *partition) value(offset int64) string {
	s := fmt.Sprintf("%s at %d ", p, offset)
	for i := range int(offset*7%60) * 4 {
		s += string(rune('a' + (int(offset)+i)%26))
	}
	return s
}

var codecs = []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4, kgo.CodecZstd}

// next makes the batch that follows; it counts as appended only with appended.
func (p *partition) next(idempotent bool) *batch {
	b := wire.Batch{BaseTimestamp: time.Now().UnixMilli(), Codec: codecs[p.rnd.IntN(len(codecs))]}
	if idempotent {
		b.ProducerID, b.Sequence = p.pid, p.seq
	}
	n := 1 + p.rnd.IntN(6)
	if p.rnd.IntN(30) == 0 && p.configs["segment.bytes"] == "" {
		n = 200 // more than one index interval
	}
	for i := range n {
		o := p.end + int64(i)
		b.Records = append(b.Records, wire.Record{Key: []byte(p.key(o)), Value: []byte(p.value(o)), TimestampDelta: int64(i % 3)})
	}
	return &batch{bytes: b.Bytes(), first: p.end, n: n}
}

func (p *partition) appended(b *batch, idempotent bool) {
	p.end += int64(b.n)
	if idempotent {
		p.seq += int32(b.n)
		p.last = b
	}
}

// produce sends a batch and reads the answer.
func (p *partition) produce(c *wire.Conn, raw []byte) (offset int64, err error) {
	resp, err := c.Ask(wire.ProduceRequest(p.name, p.index, raw), 9)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p, err)
	}
	return answer(resp)
}

func answer(resp kmsg.Response) (int64, error) {
	r := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return r.BaseOffset, kerr.ErrorForCode(r.ErrorCode)
}

// append sends batches, up to five in flight, and expects each where it belongs.
func (p *partition) append(c *wire.Conn, batches int) error {
	for batches > 0 {
		idempotent := p.rnd.IntN(4) != 0
		n := min(batches, 1+p.rnd.IntN(5))
		var sent []*batch
		for range n {
			b := p.next(idempotent)
			if err := c.Send(wire.ProduceRequest(p.name, p.index, b.bytes), 9); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			p.appended(b, idempotent)
			sent = append(sent, b)
		}
		for _, b := range sent {
			a, err := c.Receive()
			if err != nil {
				return fmt.Errorf("%s: batch of offset %d: %w", p, b.first, err)
			}
			if o, err := answer(a.Resp); err != nil || o != b.first {
				return fmt.Errorf("%s: batch of offset %d was answered %d, error %v", p, b.first, o, err)
			}
		}
		batches -= n
	}
	return nil
}

// lead notes that a leader with this epoch begins at the log end (Kafka's rule: entries that it replaces go).
func (p *partition) lead(epoch int32, end int64) {
	if n := len(p.epochs); n > 0 && p.epochs[n-1].Epoch == epoch {
		return
	}
	p.epochs = slices.DeleteFunc(p.epochs, func(e datadir.Epoch) bool { return e.Epoch >= epoch || e.Start >= end })
	p.epochs = append(p.epochs, datadir.Epoch{Epoch: epoch, Start: end})
}

// startAt notes that the log begins at an offset: the epoch that holds it begins there.
func (p *partition) startAt(offset int64) {
	p.start = offset
	p.epochs = beginAt(p.epochs, offset)
}

func beginAt(epochs []datadir.Epoch, offset int64) []datadir.Epoch {
	at := -1
	for i, e := range epochs {
		if e.Start <= offset {
			at = i
		}
	}
	if at < 0 {
		return epochs
	}
	out := slices.Clone(epochs[at:])
	out[0].Start = max(out[0].Start, offset)
	return out
}
