package handlers_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/handlers"
	"gokafka/security"
)

// filler fills requests by reflection: each list with one element, each field with something.
type filler struct {
	t     testing.TB
	topic string
	id    [16]byte
	// extreme fills with the values at the edges of their types instead of plausible ones.
	extreme bool
}

// request makes a request of a key and version. Requests that change the cluster are those of an old controller, or only to be validated.
func (f *filler) request(key, version int16) kmsg.Request {
	q := kmsg.RequestForKey(key)
	f.fill(reflect.ValueOf(q).Elem(), "")
	q.SetVersion(version)
	return q
}

func (f *filler) fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		for i := range v.NumField() {
			if n := v.Type().Field(i).Name; n != "UnknownTags" && n != "Version" {
				f.fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(batch(f.t, 2, -1, 0, 0))
			return
		}
		s := reflect.MakeSlice(v.Type(), 1, 1)
		f.fill(s.Index(0), strings.TrimSuffix(name, "s"))
		v.Set(s)
	case reflect.Array:
		if !f.extreme {
			v.Set(reflect.ValueOf(f.id))
		}
	case reflect.Pointer:
		if !f.extreme {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), name)
		}
	case reflect.String:
		v.SetString(f.text(name))
	case reflect.Bool:
		v.SetBool(name != "IsKRaftController")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.number(name, v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(1)
	default:
		f.t.Fatalf("field %s is a %v", name, v.Kind())
	}
}

func (f *filler) text(name string) string {
	switch {
	case f.extreme:
		return ""
	case name == "Topic" || name == "TopicName" || name == "ResourceName":
		return f.topic
	}
	return "text-1"
}

func (f *filler) number(name string, bits int) int64 {
	switch {
	case strings.HasPrefix(name, "Timeout") || strings.HasPrefix(name, "MaxWait"):
		return 5 // milliseconds: nobody waits for long
	case f.extreme && name == "Acks":
		return -1 // any other is not answered or refused
	case f.extreme:
		return []int64{math.MaxInt64 >> (64 - bits), -1 << (bits - 1), -2}[len(name)%3]
	case name == "ResourceType", name == "ResourcePatternType", name == "Operation", name == "PermissionType":
		return 3 // 0 breaks a request about ACLs
	case name == "Acks", name == "CurrentLeaderEpoch", name == "ReplicaID", name == "Timestamp", name == "SessionEpoch", name == "LastFetchedEpoch",
		name == "ProducerID", name == "ProducerEpoch", name == "BrokerEpoch":
		return -1
	case name == "ControllerEpoch" || name == "ControllerID" || name == "Partition" || name == "SessionID" || name == "IsolationLevel" || name == "FetchOffset":
		return 0
	case name == "MaxBytes" || name == "PartitionMaxBytes":
		return 1 << 16
	}
	return 1
}

// Every key in every version that is advertised is decoded, and answered in that version.
func TestEveryVersion(t *testing.T) {
	n := start(t, setup{props: abrupt}) // at the end it has heard of a controller that does not exist
	fillers := map[string]*filler{"plausible": {t: t, topic: "a", id: n.create("a", 2)}, "extreme": {t: t, extreme: true}}
	c := n.dial()
	for _, row := range handlers.Table() {
		for version := row.Min; version <= row.Max; version++ {
			for what, f := range fillers {
				q := f.request(row.Key.Int16(), version)
				corr := c.send(q)
				got, body, err := c.frame()
				if err != nil || got != corr {
					t.Errorf("%s v%d, %s: answer %d to request %d, %v", row.Key.Name(), version, what, got, corr, err)
					c = n.dial()
					continue
				}
				if row.Key == kmsg.StopReplica && version == 4 {
					continue // kmsg encodes its request wrongly, see protocol.FixStopReplicaV4
				}
				decode(t, q, body)
			}
			// Nothing but defaults.
			q := kmsg.RequestForKey(row.Key.Int16())
			q.SetVersion(version)
			if d, ok := q.(interface{ Default() }); ok {
				d.Default()
			}
			if p, ok := q.(*kmsg.ProduceRequest); ok {
				p.Acks = 1
			}
			if row.Key == kmsg.DescribeACLs {
				continue // zeros break it, see TestBrokenACLs
			}
			ask[kmsg.Response](c, q)
		}
	}
}

// Versions beside the served ones close the connection, but that of ApiVersions is told which are.
func TestUnservedVersions(t *testing.T) {
	n := start(t, setup{})
	for key := int16(0); key <= 100; key++ {
		var row *handlers.Row
		for _, r := range handlers.Table() {
			if r.Key.Int16() == key {
				row = &r
			}
		}
		versions := []int16{0, -1, 99}
		if row != nil {
			versions = []int16{row.Min - 1, row.Max + 1, 99, math.MaxInt16, math.MinInt16}
		}
		for _, version := range versions {
			c := n.dial()
			frame := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 11}, uint16(key))
			frame = binary.BigEndian.AppendUint16(frame, uint16(version))
			c.write(append(frame, 0, 0, 0, 7, 0, 0, 0)) // correlation id, empty client id, no tags
			if key != kmsg.ApiVersions.Int16() {
				if !c.closed() {
					t.Errorf("key %d v%d: the connection stays open", key, version)
				}
				continue
			}
			_, body, err := c.frame()
			r := kmsg.NewPtrApiVersionsResponse()
			if err != nil || r.ReadFrom(body) != nil || r.ErrorCode != kerr.UnsupportedVersion.Code || len(r.ApiKeys) != 1 ||
				r.ApiKeys[0].ApiKey != 18 || r.ApiKeys[0].MinVersion != 0 || r.ApiKeys[0].MaxVersion != 4 {
				t.Errorf("ApiVersions v%d: %+v, %v", version, r, err)
			}
			ask[*kmsg.ApiVersionsResponse](c, apiVersions()) // and goes on
		}
	}
}

// outcome sends a frame and waits until it is answered or the connection is closed.
func (n *node) outcome(frame []byte) error {
	nc, err := net.Dial("tcp", n.addr("PLAINTEXT"))
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(frame); err != nil {
		return nil // closed already
	}
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			return fmt.Errorf("neither answered nor closed after %v", patience)
		}
		return nil
	}
	_, err = io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(head[:])))
	return err
}

// several runs f for 0 … n-1, a few at a time.
func several(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// A request that is cut off at any place is answered, or its connection closed; and so is one in which bytes are wrong.
func TestBrokenRequests(t *testing.T) {
	n := start(t, setup{})
	id := n.create("a", 2)
	n.create("untouched", 1) // garbled requests do to topic a what they say
	// What a controller says, or a broker that stops, is believed: a broker that has been told nonsense is left alone.
	misled := start(t, setup{props: abrupt})
	f := &filler{t: t, topic: "a", id: id}
	for _, row := range handlers.Table() {
		victim := n
		if row.Resource == security.Cluster && row.Operation == security.ClusterAction {
			victim = misled
		}
		for version := row.Min; version <= row.Max; version++ {
			if !testing.Short() || version == row.Min || version == row.Max {
				victim.breakRequest(f.request(row.Key.Int16(), version))
			}
		}
	}
	if r := once[*kmsg.ProduceResponse](n, produceRequest(9, -1, "untouched", batch(t, 1, -1, 0, 0))); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Error("afterwards:", r.Topics[0].Partitions[0])
	}
	once[*kmsg.ApiVersionsResponse](misled, apiVersions())
}

// breakRequest sends a request in broken forms.
func (n *node) breakRequest(q kmsg.Request) {
	name := fmt.Sprintf("%s v%d", kmsg.NameForKey(q.Key()), q.GetVersion())
	frame := frameOf(q, 1)
	several(len(frame)-5, func(i int) {
		cut := append([]byte(nil), frame[:5+i]...)
		binary.BigEndian.PutUint32(cut, uint32(1+i))
		if err := n.outcome(cut); err != nil {
			n.t.Errorf("%s, %d of %d bytes: %v", name, 1+i, len(frame)-4, err)
		}
	})
	garbled := 60
	if testing.Short() {
		garbled = 5
	}
	several(garbled, func(i int) {
		wrong := garble(frame, rand.New(rand.NewPCG(uint64(q.Key())<<16|uint64(q.GetVersion()), uint64(i))))
		if waits(q.Key(), q.GetVersion(), wrong[4:]) {
			return
		}
		if err := n.outcome(wrong); err != nil {
			n.t.Errorf("%s, garbled %d, %x: %v", name, i, wrong, err)
		}
	})
}

// garble changes up to four bytes of the body of a frame, or the lengths in it.
func garble(frame []byte, r *rand.Rand) []byte {
	out := append([]byte(nil), frame...)
	for range 1 + r.IntN(4) {
		if len(out) <= 12 {
			break
		}
		out[12+r.IntN(len(out)-12)] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(r.Uint32())}[r.IntN(6)]
	}
	return out
}

// waits says whether a garbled request is a valid one that asks to wait for long, or not to be answered.
func waits(key, version int16, frame []byte) bool {
	if len(frame) < 10 {
		return false
	}
	size := int(int16(binary.BigEndian.Uint16(frame[8:])))
	body := frame[10:]
	if size > 0 && size <= len(body) {
		body = body[size:]
	}
	q := kmsg.RequestForKey(key)
	q.SetVersion(version)
	if q.IsFlexible() {
		if len(body) == 0 {
			return false
		}
		body = body[1:]
	}
	_ = q.ReadFrom(body) // what is set before the error is enough
	switch q := q.(type) {
	case *kmsg.ProduceRequest:
		return q.Acks == 0 || q.TimeoutMillis > 1000
	case *kmsg.FetchRequest:
		return q.MaxWaitMillis > 1000
	case *kmsg.CreateTopicsRequest:
		return q.TimeoutMillis > 1000
	case *kmsg.DeleteTopicsRequest:
		return q.TimeoutMillis > 1000
	case *kmsg.CreatePartitionsRequest:
		return q.TimeoutMillis > 1000
	}
	return false
}

// A number of partitions that no store could hold is refused before anything of its size is made.
func TestTooManyPartitions(t *testing.T) {
	n := start(t, setup{})
	n.create("a", 1)
	for _, count := range []int32{math.MaxInt32, 10_000_000} {
		for _, validate := range []bool{true, false} {
			ct := createRequest(7, longEnough, newTopic("huge", count, 1))
			ct.ValidateOnly = validate
			if r := once[*kmsg.CreateTopicsResponse](n, ct).Topics[0]; r.ErrorCode != kerr.InvalidPartitions.Code {
				t.Errorf("create %d: code %d", count, r.ErrorCode)
			}
			cp := partitionsRequest(longEnough, "a", count)
			cp.ValidateOnly = validate
			if r := once[*kmsg.CreatePartitionsResponse](n, cp).Topics[0]; r.ErrorCode != kerr.InvalidPartitions.Code {
				t.Errorf("extend to %d: code %d", count, r.ErrorCode)
			}
		}
	}
}
