package probe

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// normaliser turns responses into plain values without what may differ from run to run. Ids that a broker makes become
// the order in which the case first saw them, so that "the same id again" and "another id" stay visible.
type normaliser struct {
	prefix string
	port   int
	ids    map[string]map[string]string // kind -> value -> name
	// maskTimes hides the timestamps of batches, for cases that write the time of the day.
	maskTimes bool
}

func newNormaliser(prefix string, port int) *normaliser {
	return &normaliser{prefix: prefix, port: port, ids: make(map[string]map[string]string)}
}

// id names a value of a kind by the order of its first appearance.
func (n *normaliser) id(kind, value string) string {
	m := n.ids[kind]
	if m == nil {
		m = make(map[string]string)
		n.ids[kind] = m
	}
	if _, ok := m[value]; !ok {
		m[value] = fmt.Sprintf("%s-%d", kind, len(m)+1)
	}
	return m[value]
}

func (n *normaliser) response(resp kmsg.Response) any {
	if m, ok := resp.(*kmsg.MetadataResponse); ok {
		m.Topics = slices.DeleteFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { // other cases' topics
			return t.Topic != nil && strings.HasPrefix(*t.Topic, "probe-") && !strings.HasPrefix(*t.Topic, n.prefix) ||
				t.Topic != nil && strings.HasPrefix(*t.Topic, "__") && t.ErrorCode == 0
		})
		slices.SortStableFunc(m.Topics, func(a, b kmsg.MetadataResponseTopic) int { // Apache's order is a hash map's
			return strings.Compare(str(a.Topic), str(b.Topic))
		})
	}
	b, err := json.Marshal(resp)
	if err != nil {
		return "cannot be shown: " + err.Error()
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return "cannot be shown: " + err.Error()
	}
	delete(v, "Version")
	n.object(v)
	_, ordered := resp.(*kmsg.FetchResponse) // its order is part of the contract
	sortRows(v, !ordered)
	return v
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// object normalises the fields of one object, and leaves out those that hold what absence means there: every field of a
// message is in its decoded form, so nothing is lost.
func (n *normaliser) object(m map[string]any) {
	for k, v := range m {
		switch x := n.field(k, v); {
		case x == nil, k == "UnknownTags", absent[k] != "" && absent[k] == compact(x):
			delete(m, k)
		default:
			m[k] = x
		}
	}
}

// absent are the values that are not written out, by field.
var absent = map[string]string{
	"ThrottleMillis":       "0",
	"AuthorizedOperations": "-2147483648",
	"TopicID":              `"zero"`,
	"PreferredReadReplica": "-1",
	"CurrentLeader":        `{"LeaderEpoch":-1,"LeaderID":-1}`,
	"DivergingEpoch":       `{"EndOffset":-1,"Epoch":-1}`,
	"SnapshotID":           `{"EndOffset":-1,"Epoch":-1}`,
	"LogAppendTime":        "-1",
}

// field normalises one value by the name of its field.
func (n *normaliser) field(name string, v any) any {
	switch x := v.(type) {
	case map[string]any:
		n.object(x)
		return x
	case []any:
		if isUUID(x) {
			return n.uuid(x)
		}
		for i := range x {
			x[i] = n.field(name, x[i])
		}
		return x
	case json.Number:
		return n.number(name, x)
	case string:
		return n.text(name, x)
	default:
		return v
	}
}

func (n *normaliser) number(name string, x json.Number) any {
	i, err := x.Int64()
	switch {
	case err != nil:
		return x
	case name == "Port" && i == int64(n.port):
		return "PORT"
	case name == "ProducerID" && i >= 0:
		return n.id("pid", x.String())
	case name == "SessionID" && i != 0:
		return n.id("session", x.String())
	case name == "LogAppendTime" && i >= 0:
		return "a time"
	case name == "TotalBytes" && i > 0, name == "UsableBytes" && i > 0:
		return "a size"
	}
	return x
}

func (n *normaliser) text(name, x string) any {
	switch {
	case name == "Host" && x == "127.0.0.1":
		return "HOST"
	case name == "ClusterID" && len(x) == 22:
		return "CLUSTER"
	case name == "RecordBatches" && x != "":
		return n.batches(x)
	case (strings.Contains(name, "Message") || name == "Documentation") && x != "" && x != "NONE":
		return "a text" // sentences are each broker's own
	case name == "Dir" && x != "":
		return n.id("dir", x)
	case (name == "MemberID" || name == "LeaderID") && x != "":
		return n.id("member", x)
	}
	return x
}

func isUUID(x []any) bool {
	if len(x) != 16 {
		return false
	}
	for _, e := range x {
		if _, ok := e.(json.Number); !ok {
			return false
		}
	}
	return true
}

func (n *normaliser) uuid(x []any) string {
	s := fmt.Sprint(x...)
	if strings.Trim(s, "0 ") == "" {
		return "zero"
	}
	return n.id("uuid", s)
}

// sortRows orders rows whose order in Apache's answer is that of a hash map.
func sortRows(v any, topics bool) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			sortRows(e, topics)
			rows, ok := e.([]any)
			switch {
			case !ok:
			case k == "Configs":
				sortBy(rows, "Name")
			case k == "Topics" && topics:
				sortBy(rows, "Topic", "TopicID")
			case k == "Partitions" && topics:
				sortBy(rows, "Partition")
			case k == "Resources":
				sortBy(rows, "ResourceType", "ResourceName")
			}
		}
	case []any:
		for _, e := range x {
			sortRows(e, topics)
		}
	}
}

// sortBy sorts objects by fields; what is not an object stays where it is.
func sortBy(rows []any, fields ...string) {
	slices.SortStableFunc(rows, func(a, b any) int {
		x, okA := a.(map[string]any)
		y, okB := b.(map[string]any)
		if !okA || !okB {
			return 0
		}
		for _, f := range fields {
			if c := strings.Compare(fmt.Sprintf("%12v", x[f]), fmt.Sprintf("%12v", y[f])); c != 0 {
				return c
			}
		}
		return 0
	})
}

// What a fetch that cuts by bytes leaves at the end.
const (
	partialBatch  = "a partial batch"
	partialHeader = " bytes left"
)

// batches describes the record batches of a fetched partition.
func (n *normaliser) batches(b64 string) any {
	var raw []byte
	if err := json.Unmarshal([]byte(`"`+b64+`"`), &raw); err != nil {
		return err.Error()
	}
	var out []any
	for len(raw) > 0 {
		if len(raw) < 17 {
			return append(out, fmt.Sprintf("%d%s", len(raw), partialHeader))
		}
		size := int(int32(binary.BigEndian.Uint32(raw[8:]))) + 12
		if size < 17 || size > len(raw) {
			return append(out, fmt.Sprintf("%s, %d bytes of %d", partialBatch, len(raw), size))
		}
		if raw[16] == 2 && size >= 61 {
			out = append(out, n.batch(raw[:size]))
		} else {
			out = append(out, describeLegacy(raw[:size]))
		}
		raw = raw[size:]
	}
	return out
}

func (n *normaliser) batch(b []byte) string {
	var k kmsg.RecordBatch
	if err := k.ReadFrom(b); err != nil {
		return err.Error()
	}
	crc := "ok"
	if crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)) != uint32(k.CRC) {
		crc = "WRONG"
	}
	size := fmt.Sprint(len(b))
	if k.Attributes&7 != 0 {
		size = "any" // depends on the compressor's release
	}
	first, maxTime := fmt.Sprint(k.FirstTimestamp), fmt.Sprint(k.MaxTimestamp)
	if k.Attributes&8 != 0 {
		maxTime = "a time"
	}
	if n.maskTimes {
		first, maxTime = "a time", "a time"
	}
	pid := fmt.Sprint(k.ProducerID)
	if p, ok := n.ids["pid"][pid]; ok {
		pid = p
	}
	return fmt.Sprintf("offsets=%d+%d count=%d epoch=%d attributes=%#x times=%s,%s producer=%s,%d,%d size=%s crc=%s",
		k.FirstOffset, k.LastOffsetDelta, k.NumRecords, k.PartitionLeaderEpoch, k.Attributes, first, maxTime,
		pid, k.ProducerEpoch, k.FirstSequence, size, crc)
}
