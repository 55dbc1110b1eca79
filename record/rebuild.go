package record

import "github.com/twmb/franz-go/pkg/kerr"

// rebuild makes the batch anew with the target codec. Offsets become consecutive; producer, sequence and transaction stay
// (Kafka 3.9 LogValidator.buildRecordsAndAssignOffsets).
func (k *Checked) rebuild(o *CheckOptions, target Codec) error {
	b, c := k.batch, k.c
	c.enter()
	defer c.leave()
	block := b.RecordsBlock()
	if b.Codec() != None {
		plain := c.buffer()
		defer c.recycle(plain)
		var err error
		if *plain, err = c.Decompress(*plain, b.Codec(), block, int(o.maxBytes(defaultMaxRebuildBytes))); err != nil {
			return o.structureError(err)
		}
		block = *plain
	}
	builder := c.builder(BatchSpec{
		LeaderEpoch:     NoLeaderEpoch,
		Codec:           target,
		Level:           o.Level,
		TimestampType:   o.TimestampType,
		AppendTimeMs:    o.NowMs, // until Assign
		ProducerID:      b.ProducerID(),
		ProducerEpoch:   b.ProducerEpoch(),
		BaseSequence:    b.BaseSequence(),
		Transactional:   b.IsTransactional(),
		Control:         b.IsControl(),
		DeleteHorizonMs: NoTimestamp,
	})
	defer c.recycleBuilder(builder)
	if err := builder.appendAll(b, block); err != nil {
		return o.structureError(err)
	}
	return k.finish(builder, o)
}

// finish takes what a builder makes as the batch.
func (k *Checked) finish(builder *Builder, o *CheckOptions) (err error) {
	c := k.c
	out := c.buffer()
	if *out, k.batch, err = builder.Build(*out, c); err != nil {
		c.recycle(out)
		return o.structureError(err)
	}
	k.rebuilt = out
	k.maxTimestamp = builder.MaxTimestamp()
	if o.MaxMessageBytes > 0 && len(k.batch) > o.MaxMessageBytes {
		return refuse(kerr.MessageTooLarge, "Message batch size is %d bytes in append to partition %s which exceeds the maximum configured size of %d.",
			len(k.batch), o.Label, o.MaxMessageBytes)
	}
	if k.timestampType == LogAppendTime {
		k.computeCRC()
	}
	return nil
}

// appendAll appends the records of b, at offsets from 0 on.
func (b *Builder) appendAll(from Batch, block []byte) error {
	var r Record
	it := from.Iterate(block)
	for i := int64(0); it.Next(&r); i++ {
		if err := b.AppendRecord(i, &r); err != nil {
			return err
		}
	}
	return it.Err()
}
