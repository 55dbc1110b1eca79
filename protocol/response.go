package protocol

import "encoding/binary"

// NodeEndpoint tells a client where a leader is (KIP-951).
type NodeEndpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // empty = null
}

// LeaderHint names the current leader of a partition whose leader a client got wrong (KIP-951). {-1, -1} is none.
type LeaderHint struct {
	LeaderID    int32
	LeaderEpoch int32
}

// NoLeaderHint is the hint that is not sent.
var NoLeaderHint = LeaderHint{LeaderID: -1, LeaderEpoch: -1}

// RecordError tells which record of a batch is at fault (KIP-467).
type RecordError struct {
	BatchIndex int32
	Message    string // empty = null
}

// ProduceResult is the answer for one partition.
type ProduceResult struct {
	Topic          []byte
	TopicID        [16]byte // from version 13 on, instead of the name
	Partition      int32
	ErrorCode      int16
	BaseOffset     int64 // -1 on error
	LogAppendTime  int64 // -1 unless the broker set it
	LogStartOffset int64 // -1 unknown
	RecordErrors   []RecordError
	ErrorMessage   string // empty = null
	Leader         LeaderHint
}

// ProduceResponse is the answer to a Produce request, versions 0 to 13. It encodes what kmsg's does, without allocating.
// Results of one topic lie side by side.
type ProduceResponse struct {
	Version       int16
	Results       []ProduceResult
	ThrottleMs    int32
	NodeEndpoints []NodeEndpoint
}

// IsFlexible implements Encoder.
func (p *ProduceResponse) IsFlexible() bool { return p.Version >= 9 }

// AppendTo implements Encoder.
func (p *ProduceResponse) AppendTo(dst []byte) []byte {
	w := writer{b: dst, flexible: p.IsFlexible()}
	topics := 0
	for i := range p.Results {
		if i == 0 || !p.Results[i].sameTopic(&p.Results[i-1]) {
			topics++
		}
	}
	w.arrayLen(topics)
	for i := 0; i < len(p.Results); {
		end := i + 1
		for end < len(p.Results) && p.Results[end].sameTopic(&p.Results[i]) {
			end++
		}
		if p.Version >= 13 {
			w.b = append(w.b, p.Results[i].TopicID[:]...)
		} else {
			w.str(p.Results[i].Topic)
		}
		w.arrayLen(end - i)
		for ; i < end; i++ {
			p.appendResult(&w, &p.Results[i])
		}
		w.noTags()
	}
	if p.Version >= 1 {
		w.int32(p.ThrottleMs)
	}
	if w.flexible {
		w.nodeEndpoints(p.NodeEndpoints)
	}
	return w.b
}

func (r *ProduceResult) sameTopic(o *ProduceResult) bool {
	return string(r.Topic) == string(o.Topic) && r.TopicID == o.TopicID
}

func (p *ProduceResponse) appendResult(w *writer, r *ProduceResult) {
	w.int32(r.Partition)
	w.int16(r.ErrorCode)
	w.int64(r.BaseOffset)
	if p.Version >= 2 {
		w.int64(r.LogAppendTime)
	}
	if p.Version >= 5 {
		w.int64(r.LogStartOffset)
	}
	if p.Version >= 8 {
		w.arrayLen(len(r.RecordErrors))
		for i := range r.RecordErrors {
			w.int32(r.RecordErrors[i].BatchIndex)
			w.nullableString(r.RecordErrors[i].Message)
			w.noTags()
		}
		w.nullableString(r.ErrorMessage)
	}
	if w.flexible {
		if r.Leader == NoLeaderHint || p.Version < 10 {
			w.noTags()
		} else {
			w.uvarint(1)
			w.leaderHint(0, r.Leader)
		}
	}
}

// writer appends primitive fields.
type writer struct {
	b        []byte
	flexible bool
}

func (w *writer) int16(v int16)    { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32)    { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64)    { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }
func (w *writer) uvarint(v uint32) { w.b = appendUvarint(w.b, v) }

func (w *writer) noTags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}

func (w *writer) arrayLen(n int) {
	if w.flexible {
		w.uvarint(uint32(n + 1))
	} else {
		w.int32(int32(n))
	}
}

func (w *writer) nullArray() {
	if w.flexible {
		w.uvarint(0)
	} else {
		w.int32(-1)
	}
}

func (w *writer) str(s []byte) {
	if w.flexible {
		w.uvarint(uint32(len(s) + 1))
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

func (w *writer) nullableString(s string) {
	switch {
	case s == "" && w.flexible:
		w.uvarint(0)
	case s == "":
		w.int16(-1)
	case w.flexible:
		w.uvarint(uint32(len(s) + 1))
		w.b = append(w.b, s...)
	default:
		w.int16(int16(len(s)))
		w.b = append(w.b, s...)
	}
}

// leaderHint writes a tagged field: tag, size 9 (two int32 and an empty tag section), value.
func (w *writer) leaderHint(tag uint32, h LeaderHint) {
	w.uvarint(tag)
	w.uvarint(9)
	w.int32(h.LeaderID)
	w.int32(h.LeaderEpoch)
	w.uvarint(0)
}

// nodeEndpoints writes the last tag section of an answer, with tag 0 holding the endpoints when there are any.
func (w *writer) nodeEndpoints(nodes []NodeEndpoint) {
	if len(nodes) == 0 {
		w.uvarint(0)
		return
	}
	f := writer{flexible: true}
	f.arrayLen(len(nodes))
	for i := range nodes {
		f.int32(nodes[i].NodeID)
		f.uvarint(uint32(len(nodes[i].Host) + 1))
		f.b = append(f.b, nodes[i].Host...)
		f.int32(nodes[i].Port)
		f.nullableString(nodes[i].Rack)
		f.noTags()
	}
	w.uvarint(1)
	w.uvarint(0)
	w.uvarint(uint32(len(f.b)))
	w.b = append(w.b, f.b...)
}
