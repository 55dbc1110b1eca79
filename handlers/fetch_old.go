package handlers

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/record"
)

// maxHeldBytes bounds what an answer keeps of converted first batches until it is sent; the others are converted twice.
const maxHeldBytes = 4 << 20

// finishOldFetch adapts answers before version 10: to zstd (KIP-110), to codes, and before version 4 to the message format. Apache looks at the topic's
// settings before it looks at the partition's error (Kafka 3.9 KafkaApis.handleFetchRequest, maybeConvertFetchedData); but who may not
// read the topic is not told of its settings.
func (h *Handlers) finishOldFetch(r *Request, q *kmsg.FetchRequest, resp *protocol.FetchResponse) {
	held := 0
	var asked map[metadata.TopicPartition]int64
	if r.Version < 4 {
		asked = fetchOffsets(q)
	}
	for i := range resp.Results {
		p := &resp.Results[i]
		if p.ErrorCode == kerr.KafkaStorageError.Code && r.Version <= 5 {
			p.ErrorCode = kerr.NotLeaderForPartition.Code
		}
		tp := metadata.TopicPartition{Topic: p.Topic, Partition: p.Partition}
		if p.ErrorCode == kerr.TopicAuthorizationFailed.Code || h.Replicas.Partition(tp) == nil {
			continue
		}
		c := h.Settings.Topic(p.Topic)
		switch {
		case c.CompressionType == record.Zstd.String():
			refuseFetch(p, kerr.UnsupportedCompressionType.Code)
		case r.Version >= 4:
		case !c.DownconversionEnable && q.ReplicaID < 0:
			refuseFetch(p, kerr.UnsupportedVersion.Code)
		default:
			h.downConvert(p, conversion(r.Version, asked[tp]), &held)
		}
	}
}

// refuseFetch makes an error of a result.
func refuseFetch(p *protocol.FetchResult, code int16) {
	if p.Records != nil {
		p.Records.Release()
	}
	*p = protocol.NewFetchResult(p.Topic, p.TopicID, p.Partition)
	p.ErrorCode, p.Aborted = code, []protocol.AbortedTransaction{}
}

// fetchOffsets are the offsets that a request asks for; the last one counts if it names a partition twice.
func fetchOffsets(q *kmsg.FetchRequest) map[metadata.TopicPartition]int64 {
	offsets := map[metadata.TopicPartition]int64{}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[j]
			offsets[metadata.TopicPartition{Topic: q.Topics[i].Topic, Partition: p.Partition}] = p.FetchOffset
		}
	}
	return offsets
}

func conversion(version int16, firstOffset int64) record.DownConversion {
	if version < 2 {
		return record.DownConversion{Magic: 0, FirstOffset: firstOffset}
	}
	return record.DownConversion{Magic: 1, FirstOffset: firstOffset}
}

// downConvert makes the records of a result those of an old message format.
func (h *Handlers) downConvert(p *protocol.FetchResult, o record.DownConversion, held *int) {
	if p.Records == nil {
		return
	}
	d, err := h.Codecs.NewDownConverter(p.Records, int64(p.Records.Len()), o)
	switch {
	case err == nil:
	case truncated(p.Records): // and something else was read: the client asks again
		p.Records.Release()
		p.Records = nil
		return
	default:
		refuseFetch(p, h.code(err))
		return
	}
	if *held += d.HeldBytes(); *held > maxHeldBytes {
		*held -= d.HeldBytes()
		d.Forget()
	}
	p.Records = &converted{d, p.Records}
}

func truncated(r protocol.Records) bool {
	t, ok := r.(interface{ Truncated() bool })
	return ok && t.Truncated()
}

// converted are records that are converted while they are sent.
type converted struct {
	*record.DownConverter
	source protocol.Records
}

// Release ends the use of the records and of those that they are made of.
func (c *converted) Release() {
	c.Close()
	c.source.Release()
}

// Truncated says that the log was truncated below the source's end.
func (c *converted) Truncated() bool { return truncated(c.source) }
