package protocol

import "encoding/binary"

// Records are the record batches of one partition in a Fetch answer: bytes that lie in a file until they are sent.
type Records interface {
	// Len is the number of bytes.
	Len() int
	// ReadAt fills p from the bytes at off, wholly or with an error. An error after the header of the answer has been sent breaks the connection.
	ReadAt(p []byte, off int64) (int, error)
	// Release ends the use. Called once.
	Release()
}

// AbortedTransaction is one aborted transaction that a fetched range overlaps.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// EpochEndOffset is where an epoch ended; Epoch -1 is none.
type EpochEndOffset struct {
	Epoch     int32
	EndOffset int64
}

// NoDivergingEpoch is the diverging epoch that is not sent.
var NoDivergingEpoch = EpochEndOffset{Epoch: -1, EndOffset: -1}

// FetchResult is the answer for one partition. NewFetchResult gives the defaults.
type FetchResult struct {
	Topic                string
	TopicID              [16]byte
	Partition            int32
	ErrorCode            int16
	HighWatermark        int64 // -1 on error
	LastStableOffset     int64
	LogStartOffset       int64
	Aborted              []AbortedTransaction // nil = null (read_uncommitted)
	PreferredReadReplica int32                // -1 none
	Diverging            EpochEndOffset
	Leader               LeaderHint
	Records              Records // nil = empty
}

// NewFetchResult is the answer for a partition with nothing to tell.
func NewFetchResult(topic string, id [16]byte, partition int32) FetchResult {
	return FetchResult{
		Topic: topic, TopicID: id, Partition: partition,
		HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
		PreferredReadReplica: -1, Diverging: NoDivergingEpoch, Leader: NoLeaderHint,
	}
}

// FetchResponse is the answer to a Fetch request, versions 0 to 18. Its records stay where they are: AppendFrame gives the bytes between them.
// Results keep their order, as Apache's do: only those of one topic that follow each other share an entry.
type FetchResponse struct {
	Version       int16
	ThrottleMs    int32
	ErrorCode     int16
	SessionID     int32
	Results       []FetchResult
	NodeEndpoints []NodeEndpoint
}

// Cut says that records belong into a frame before its byte At.
type Cut struct {
	At      int
	Records Records
}

// IsFlexible says whether the answer has tagged fields.
func (f *FetchResponse) IsFlexible() bool { return f.Version >= 12 }

// AppendFrame appends the frame of the answer without its records to dst and the places where these belong to cuts. Positions count from dst's first byte.
func (f *FetchResponse) AppendFrame(dst []byte, cuts []Cut, correlationID int32) ([]byte, []Cut) {
	start := len(dst)
	w := writer{b: append(dst, 0, 0, 0, 0), flexible: f.IsFlexible()}
	w.int32(correlationID)
	w.noTags()
	if f.Version >= 1 {
		w.int32(f.ThrottleMs)
	}
	if f.Version >= 7 {
		w.int16(f.ErrorCode)
		w.int32(f.SessionID)
	}
	topics := 0
	for i := range f.Results {
		if i == 0 || !f.sameTopic(i, i-1) {
			topics++
		}
	}
	w.arrayLen(topics)
	recordBytes := 0
	for i := 0; i < len(f.Results); {
		end := i + 1
		for end < len(f.Results) && f.sameTopic(end, i) {
			end++
		}
		if f.Version >= 13 {
			w.b = append(w.b, f.Results[i].TopicID[:]...)
		} else {
			w.string(f.Results[i].Topic)
		}
		w.arrayLen(end - i)
		for ; i < end; i++ {
			r := &f.Results[i]
			f.appendHead(&w, r)
			n := 0
			if r.Records != nil {
				n = r.Records.Len()
			}
			if w.flexible {
				w.uvarint(uint32(n + 1))
			} else {
				w.int32(int32(n))
			}
			if n > 0 {
				cuts = append(cuts, Cut{At: len(w.b), Records: r.Records})
				recordBytes += n
			}
			f.appendTags(&w, r)
		}
		w.noTags()
	}
	if w.flexible {
		w.nodeEndpoints(f.NodeEndpoints)
	}
	binary.BigEndian.PutUint32(w.b[start:], uint32(len(w.b)-start-SizeBytes+recordBytes))
	return w.b, cuts
}

func (f *FetchResponse) sameTopic(i, j int) bool {
	if f.Version >= 13 {
		return f.Results[i].TopicID == f.Results[j].TopicID
	}
	return f.Results[i].Topic == f.Results[j].Topic
}

func (f *FetchResponse) appendHead(w *writer, r *FetchResult) {
	w.int32(r.Partition)
	w.int16(r.ErrorCode)
	w.int64(r.HighWatermark)
	if f.Version < 4 {
		return
	}
	w.int64(r.LastStableOffset)
	if f.Version >= 5 {
		w.int64(r.LogStartOffset)
	}
	if r.Aborted == nil {
		w.nullArray()
	} else {
		w.arrayLen(len(r.Aborted))
		for _, a := range r.Aborted {
			w.int64(a.ProducerID)
			w.int64(a.FirstOffset)
			w.noTags()
		}
	}
	if f.Version >= 11 {
		w.int32(r.PreferredReadReplica)
	}
}

func (f *FetchResponse) appendTags(w *writer, r *FetchResult) {
	if !w.flexible {
		return
	}
	diverging := r.Diverging != NoDivergingEpoch
	hint := r.Leader != NoLeaderHint
	n := uint32(0)
	if diverging {
		n++
	}
	if hint {
		n++
	}
	w.uvarint(n)
	if diverging {
		w.uvarint(0)
		w.uvarint(13)
		w.int32(r.Diverging.Epoch)
		w.int64(r.Diverging.EndOffset)
		w.uvarint(0)
	}
	if hint {
		w.leaderHint(1, r.Leader)
	}
}

// Release releases the records of all results. For answers that are not sent.
func (f *FetchResponse) Release() {
	for i := range f.Results {
		if f.Results[i].Records != nil {
			f.Results[i].Records.Release()
			f.Results[i].Records = nil
		}
	}
}

func (w *writer) string(s string) {
	if w.flexible {
		w.uvarint(uint32(len(s) + 1))
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}
