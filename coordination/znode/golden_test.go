package znode

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"gokafka/metadata"
)

// parse keeps numbers as text, so that 1 and "1" and 1.0 differ.
func parse(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

// Data that Apache Kafka 3.9.1 brokers wrote in a live cluster. What we write for the same content must have the same
// keys and values.
func TestGolden(t *testing.T) {
	id := func(s string) metadata.TopicID {
		id, err := metadata.ParseTopicID(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ep := func(l string, p metadata.SecurityProtocol, port int32) metadata.Endpoint {
		return metadata.Endpoint{Listener: l, Protocol: p, Host: "127.0.0.1", Port: port}
	}
	tp := metadata.TopicPartition{Topic: "rr", Partition: 1}
	for _, c := range []struct {
		name, golden string
		got          []byte
	}{
		{"controller", `{"version":2,"brokerid":1,"timestamp":"1795339491113","kraftControllerEpoch":-1}`,
			EncodeController(1, 1795339491113)},
		{"broker", `{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT","SASL_PLAINTEXT":"SASL_PLAINTEXT"},` +
			`"endpoints":["PLAINTEXT://127.0.0.1:22001","SASL_PLAINTEXT://127.0.0.1:22011"],"rack":"r1","jmx_port":-1,` +
			`"port":22001,"host":"127.0.0.1","version":5,"timestamp":"1795339488776"}`,
			EncodeBroker(Registration{JMXPort: -1, TimestampMs: 1795339488776, Broker: metadata.Broker{ID: 1, Rack: "r1",
				Endpoints: []metadata.Endpoint{ep("PLAINTEXT", metadata.Plaintext, 22001),
					ep("SASL_PLAINTEXT", metadata.SASLPlaintext, 22011)}}})},
		{"topic", `{"partitions":{"0":[3,1,2],"1":[1,2,3],"2":[2,3,1]},"topic_id":"OYTtQtSPSWWt94DTnXTnRg",` +
			`"adding_replicas":{},"removing_replicas":{},"version":3}`,
			EncodeTopic(id("OYTtQtSPSWWt94DTnXTnRg"), map[int32]Assignment{
				0: {Replicas: []int32{3, 1, 2}}, 1: {Replicas: []int32{1, 2, 3}}, 2: {Replicas: []int32{2, 3, 1}}})},
		{"topic in a move", `{"partitions":{"0":[2,3,1]},"topic_id":"tUeJ1rjqRfmAY9V0xig4Yw","adding_replicas":{"0":[3]},` +
			`"removing_replicas":{"0":[1]},"version":3}`,
			EncodeTopic(id("tUeJ1rjqRfmAY9V0xig4Yw"), map[int32]Assignment{
				0: {Replicas: []int32{2, 3, 1}, Adding: []int32{3}, Removing: []int32{1}}})},
		{"state", `{"controller_epoch":3,"leader":3,"version":1,"leader_epoch":0,"isr":[3,1,2]}`,
			EncodeState(metadata.PartitionState{ControllerEpoch: 3, Leader: 3, ISR: []int32{3, 1, 2}})},
		{"offline state", `{"controller_epoch":6,"leader":-1,"version":1,"leader_epoch":2,"isr":[1]}`,
			EncodeState(metadata.PartitionState{ControllerEpoch: 6, Leader: -1, LeaderEpoch: 2, ISR: []int32{1}})},
		{"unclean state", `{"controller_epoch":6,"leader":2,"version":1,"leader_recovery_state":1,"leader_epoch":3,"isr":[2]}`,
			EncodeState(metadata.PartitionState{ControllerEpoch: 6, Leader: 2, LeaderEpoch: 3, ISR: []int32{2},
				Recovery: metadata.Recovering})},
		{"cluster id", `{"version":"1","id":"7Hr7E_OWTcyluhz-VWU4mg"}`, EncodeClusterID("7Hr7E_OWTcyluhz-VWU4mg")},
		{"config", `{"version":1,"config":{"cleanup.policy":"compact","max.message.bytes":"2000000","retention.ms":"3600000"}}`,
			EncodeConfig(map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2000000", "retention.ms": "3600000"})},
		{"empty config", `{"version":1,"config":{}}`, EncodeConfig(nil)},
		{"config change", `{"version":2,"entity_path":"users/bob/clients/app1"}`,
			EncodeConfigChange(Entity{UserEntity, "bob/clients/app1"})},
		{"default change", `{"version":2,"entity_path":"brokers/<default>"}`, EncodeConfigChange(Entity{BrokerEntity, DefaultEntity})},
		{"reassign", `{"version":1,"partitions":[{"topic":"rr","partition":1,"replicas":[1,2,3]}]}`,
			EncodeReassignments(map[metadata.TopicPartition][]int32{tp: {1, 2, 3}})},
		{"preferred", `{"version":1,"partitions":[{"topic":"rr","partition":0}]}`,
			EncodePartitions([]metadata.TopicPartition{{Topic: "rr"}})},
		{"log dir", `{"version":1,"broker":2,"event":1}`, EncodeLogDirEvent(2)},
		{"producer ids", `{"version":1,"broker":100,"block_start":"0","block_end":"999"}`,
			EncodeProducerIDBlock(ProducerIDBlock{100, 0, 1000})},
		{"features", `{"features":{},"version":2,"status":1}`, EncodeFeatures(Features{Enabled: true})},
	} {
		if got, want := parse(t, c.got), parse(t, []byte(c.golden)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.golden)
		}
	}
	if got := EncodeConfigChange(Entity{BrokerEntity, DefaultEntity}); bytes.Contains(got, []byte(`\u003c`)) {
		t.Errorf("escaped: %s", got)
	}
}

func TestBrokerWithoutPlaintextOrRack(t *testing.T) {
	got := EncodeBroker(Registration{JMXPort: -1, TimestampMs: 5, Features: map[string]FeatureRange{"f": {1, 2}},
		Broker: metadata.Broker{Endpoints: []metadata.Endpoint{{Listener: "TLS", Protocol: metadata.SSL, Host: "::1", Port: 9}}}})
	want := `{"features":{"f":{"min_version":1,"max_version":2}},"listener_security_protocol_map":{"TLS":"SSL"},` +
		`"endpoints":["TLS://[::1]:9"],"jmx_port":-1,"port":-1,"host":null,"version":5,"timestamp":"5"}`
	if !reflect.DeepEqual(parse(t, got), parse(t, []byte(want))) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	r, err := DecodeBroker(7, got, 42)
	if err != nil || r.Broker.Endpoints[0] != (metadata.Endpoint{Listener: "TLS", Protocol: metadata.SSL, Host: "::1", Port: 9}) ||
		r.Broker.Epoch != 42 || r.Features["f"].Max != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Registrations of older brokers, and of others that use names of their own.
func TestDecodeBrokerVersions(t *testing.T) {
	for data, want := range map[string]metadata.Endpoint{
		`{"version":1,"host":"h","port":9092,"jmx_port":9999,"timestamp":"1"}`: {Listener: "PLAINTEXT", Host: "h", Port: 9092},
		`{"version":2,"host":"h","port":1,"jmx_port":-1,"timestamp":"1","endpoints":["SSL://h:2"]}`: {Listener: "SSL",
			Protocol: metadata.SSL, Host: "h", Port: 2},
		`{"version":4,"jmx_port":-1,"endpoints":["internal://h.x-y:3"],"rack":null,"listener_security_protocol_map":{"INTERNAL":"SASL_SSL"},"new":1}`: {
			Listener: "INTERNAL", Protocol: metadata.SASLSSL, Host: "h.x-y", Port: 3},
	} {
		r, err := DecodeBroker(1, []byte(data), 1)
		if err != nil || len(r.Broker.Endpoints) != 1 || r.Broker.Endpoints[0] != want {
			t.Errorf("%s: %+v, %v", data, r, err)
		}
	}
	for _, data := range []string{``, `null`, `[]`, `{`, `{"version":5}`, `{"version":0,"jmx_port":1}`,
		`{"version":5,"jmx_port":-1}`, `{"version":5,"jmx_port":-1,"endpoints":["nonsense"]}`,
		`{"version":5,"jmx_port":-1,"endpoints":["A://h:1"],"listener_security_protocol_map":{}}`,
		`{"version":5,"jmx_port":-1,"endpoints":["SSL://h:99999999999"]}`} {
		if r, err := DecodeBroker(1, []byte(data), 1); err == nil {
			t.Errorf("%s: no error, %+v", data, r)
		}
	}
}

func TestDecodeTolerates(t *testing.T) {
	if top, err := DecodeTopic("t", []byte(`{"version":1,"partitions":{"0":[1]}}`), 3); err != nil || !top.ID.IsZero() ||
		len(top.Partitions) != 1 || top.ZkVersion != 3 {
		t.Errorf("topic of version 1: %+v, %v", top, err)
	}
	if top, err := DecodeTopic("t", []byte("no json"), 0); err != nil || len(top.Partitions) != 0 {
		t.Errorf("%+v, %v", top, err)
	}
	for _, bad := range []string{`{"partitions":{"x":[1]}}`, `{"partitions":{"-1":[1]}}`, `{"topic_id":"short"}`, `{"partitions":[]}`} {
		if _, err := DecodeTopic("t", []byte(bad), 0); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if _, err := DecodeState(metadata.TopicPartition{Topic: "t"}, []byte(`{"leader":1,"isr":[1],"leader_epoch":1}`), 0); err == nil {
		t.Error("state without controller_epoch")
	}
	if c, err := DecodeController([]byte(`{"version":1,"brokerid":7,"timestamp":"x"}`)); err != nil || c.BrokerID != 7 || c.IsKRaft() {
		t.Errorf("%+v, %v", c, err)
	}
	if e, err := DecodeConfigChange("p", []byte(`{"version":1,"entity_type":"topics","entity_name":"a"}`)); err != nil ||
		e != (Entity{TopicEntity, "a"}) {
		t.Errorf("%v, %v", e, err)
	}
	for _, bad := range []string{`{"version":3,"entity_path":"topics/a"}`, `{"version":2,"entity_path":"topics"}`,
		`{"version":2,"entity_path":"nonsense/a"}`, `{"version":1,"entity_type":"users","entity_name":"a"}`} {
		if _, err := DecodeConfigChange("p", []byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	for _, bad := range []string{`{"features":{"f":{"min_version_level":1}},"version":2,"status":1}`, `{"version":2,"status":1}`,
		`{"features":{},"version":3,"status":1}`, `{"features":{"f":{"max_version_level":1}},"version":1,"status":1}`} {
		if _, err := DecodeFeatures([]byte(bad), 0); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestSanitizeEntity(t *testing.T) {
	for name, want := range map[string]string{"al ice": "al%20ice", "a*b": "a%2Ab", "User:x": "User%3Ax", "a-._z": "a-._z",
		"é": "%C3%A9", "a/b": "a%2Fb", "<default>": "%3Cdefault%3E"} {
		got := SanitizeEntity(name)
		back, err := DesanitizeEntity(got)
		if got != want || back != name || err != nil {
			t.Errorf("%q: %q, back %q, %v", name, got, back, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":5,"jmx_port":-1,"endpoints":["A://h:1"],"listener_security_protocol_map":{"A":"SSL"}}`))
	f.Add([]byte(`{"partitions":{"0":[1]},"version":3}`))
	f.Add([]byte(`{"version":1,"broker":1,"block_start":"-9223372036854775808","block_end":"9223372036854775807"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeBroker(1, data, 1); err == nil {
			if back, err := DecodeBroker(1, EncodeBroker(r), 1); err != nil || len(back.Broker.Endpoints) != len(r.Broker.Endpoints) {
				t.Errorf("%q: %v", data, err)
			}
		}
		if top, err := DecodeTopic("t", data, 1); err == nil {
			if back, err := DecodeTopic("t", EncodeTopic(top.ID, top.Partitions), 1); err != nil || len(back.Partitions) != len(top.Partitions) {
				t.Errorf("%q: %v", data, err)
			}
		}
		if b, ok, err := DecodeProducerIDBlock(data); err == nil && ok && (b.Start < 0 || b.Len <= 0) {
			t.Errorf("%q: %+v", data, b)
		}
		_, _ = DecodeState(metadata.TopicPartition{}, data, 1)
		_, _ = DecodeController(data)
		_, _ = DecodeClusterID(data)
		_, _ = DecodeConfig("p", data)
		_, _ = DecodeConfigChange("p", data)
		_, _ = DecodeFeatures(data, 1)
		_, _ = DecodePartitions("p", data)
		_, _ = DecodeReassignments(data)
		_, _, _ = DecodeLogDirEvent("p", data)
		_, _ = DesanitizeEntity(string(data))
	})
}
