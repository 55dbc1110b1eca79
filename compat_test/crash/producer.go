package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/history"
	"gokafka/compat_test/wire"
)

const (
	recordsPerBatch = 3
	// pause between batches bounds what a run of any length writes.
	pause = 2 * time.Millisecond
)

// producer is an idempotent producer of one partition.
type producer struct {
	addr     string
	topic    string
	stream   history.Stream
	id       int64
	inFlight int

	next    int       // sequence of the next new record
	pending []pending // sent or to be sent again, oldest first, at most inFlight
	acks    []history.Ack
	last    error // what ended the session before, for the text of a violation
}

type pending struct {
	first int
	bytes []byte
}

// violation is an answer that breaks a promise, in contrast to one that asks for a retry.
type violation struct{ error }

// run writes until stop is closed, then until all pending batches are answered or ctx ends.
func (p *producer) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		err := p.session(ctx, stop)
		var v violation
		switch {
		case err == nil, errors.As(err, &v):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%v: %d batches unanswered at the end: %w", p.stream, len(p.pending), err)
		}
		p.last = err
		time.Sleep(10 * time.Millisecond) // the broker is down or starting
	}
}

// session writes over one connection; nil means that the work is done.
func (p *producer) session(ctx context.Context, stop <-chan struct{}) error {
	c, err := wire.Dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 5 * time.Second
	// The oldest, or the first of all, goes alone: while a starting broker still refuses, a later batch must not overtake
	// it, for a partition that does not know the producer takes any first sequence.
	if len(p.pending) == 0 {
		p.pending = append(p.pending, p.batch())
	}
	if err := p.send(c, p.pending[0]); err != nil {
		return err
	}
	if err := p.receive(c); err != nil {
		return err
	}
	sent := 0
	for {
		for ; sent < len(p.pending); sent++ {
			if err := p.send(c, p.pending[sent]); err != nil {
				return err
			}
		}
		if len(p.pending) < p.inFlight && !closed(stop) {
			p.pending = append(p.pending, p.batch())
			time.Sleep(pause)
			continue
		}
		if len(p.pending) == 0 {
			return nil
		}
		if err := p.receive(c); err != nil {
			return err
		}
		sent--
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (p *producer) batch() pending {
	b := wire.Batch{ProducerID: p.id, Sequence: int32(p.next), BaseTimestamp: time.Now().UnixMilli()}
	for i := range recordsPerBatch {
		b.Records = append(b.Records, wire.Record{Value: history.Value(p.stream, p.next+i)})
	}
	first := p.next
	p.next += recordsPerBatch
	return pending{first, b.Bytes()}
}

func (p *producer) send(c *wire.Conn, b pending) error {
	return c.Send(wire.ProduceRequest(p.topic, p.stream.Partition, b.bytes), 9)
}

// receive takes the answer to the oldest pending batch.
func (p *producer) receive(c *wire.Conn) error {
	a, err := c.Receive()
	if err != nil {
		return err
	}
	r := a.Resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		if kerr.IsRetriable(err) {
			return err
		}
		return violation{fmt.Errorf("%v: batch of sequence %d answered: %w (%d pending, the session before ended with: %v)", p.stream, p.pending[0].first, err, len(p.pending), p.last)}
	}
	if r.BaseOffset < 0 {
		return violation{fmt.Errorf("%v: sequence %d acknowledged at offset %d", p.stream, p.pending[0].first, r.BaseOffset)}
	}
	for i := range recordsPerBatch {
		p.acks = append(p.acks, history.Ack{Stream: p.stream, Seq: p.pending[0].first + i, Offset: r.BaseOffset + int64(i)})
	}
	p.pending = p.pending[1:]
	return nil
}
