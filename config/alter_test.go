package config

import (
	"errors"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestAlterTopic(t *testing.T) {
	const policy, throttled = "cleanup.policy", "leader.replication.throttled.replicas"
	for _, c := range []struct {
		what   string
		before map[string]string
		ops    []Op
		want   map[string]string
	}{
		{"set and delete", map[string]string{"a": "1"}, []Op{{OpSet, "b", "2"}, {OpDelete, "a", ""}, {OpDelete, "c", ""}},
			map[string]string{"b": "2"}},
		{"append to the default", nil, []Op{{OpAppend, policy, "compact"}}, map[string]string{policy: "delete,compact"}},
		{"append what is there", nil, []Op{{OpAppend, policy, "delete"}}, map[string]string{policy: "delete"}},
		{"append to nothing", nil, []Op{{OpAppend, throttled, "0:1,1:2"}}, map[string]string{throttled: "0:1,1:2"}},
		{"append twice the same", nil, []Op{{OpAppend, throttled, "0:1,0:1"}}, map[string]string{throttled: "0:1,0:1"}},
		{"append to empty", map[string]string{policy: ""}, []Op{{OpAppend, policy, "compact"}}, map[string]string{policy: "compact"}},
		{"subtract", map[string]string{throttled: "0:1,1:2,0:1"}, []Op{{OpSubtract, throttled, "0:1"}},
			map[string]string{throttled: "1:2,0:1"}},
		{"subtract from the default", nil, []Op{{OpSubtract, policy, "delete"}}, map[string]string{policy: ""}},
		{"subtract what is not there", nil, []Op{{OpSubtract, policy, "compact"}}, map[string]string{policy: "delete"}},
		{"one after the other", nil, []Op{{OpAppend, policy, "compact"}, {OpSubtract, policy, "delete"}},
			map[string]string{policy: "compact"}},
	} {
		before := maps.Clone(c.before)
		got, err := AlterTopic(c.before, c.ops)
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.what, got, err, c.want)
		}
		if !maps.Equal(before, c.before) {
			t.Errorf("%s: the input became %v", c.what, c.before)
		}
	}
	for _, c := range []struct {
		op   Op
		want *kerr.Error
	}{
		{Op{OpAppend, "retention.ms", "1"}, kerr.InvalidConfig},
		{Op{OpSubtract, "retention.ms", "1"}, kerr.InvalidConfig},
		{Op{OpAppend, "nope", "1"}, kerr.UnknownServerError},
		{Op{9, "retention.ms", "1"}, kerr.InvalidRequest},
	} {
		if _, err := AlterTopic(nil, []Op{c.op}); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.op, err, c.want)
		}
	}
	got, err := AlterBroker(nil, []Op{{OpAppend, "log.cleanup.policy", "compact"}})
	if err != nil || got["log.cleanup.policy"] != "delete,compact" {
		t.Errorf("broker: %v, %v", got, err)
	}
}
