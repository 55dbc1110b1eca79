package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// OpType is config_operation of IncrementalAlterConfigs.
type OpType int8

// The operations.
const (
	OpSet OpType = iota
	OpDelete
	OpAppend
	OpSubtract
)

// Op is one change of one config.
type Op struct {
	Type OpType
	Name string
	// Value means nothing for OpDelete. Null values are for the caller to refuse.
	Value string
}

// AlterTopic are the overrides of a topic after ops (Kafka 3.9 ConfigAdminManager.prepareIncrementalConfigs). The result
// is still to be validated. The error is an *Error.
func AlterTopic(overrides map[string]string, ops []Op) (map[string]string, error) {
	return alter(topicTable, overrides, ops)
}

// AlterBroker is AlterTopic for the dynamic configs of a broker or of the cluster.
func AlterBroker(props map[string]string, ops []Op) (map[string]string, error) {
	return alter(brokerTable, props, ops)
}

func alter(t *table, props map[string]string, ops []Op) (map[string]string, error) {
	out := maps.Clone(props)
	if out == nil {
		out = map[string]string{}
	}
	for _, op := range ops {
		switch op.Type {
		case OpSet:
			out[op.Name] = op.Value
		case OpDelete:
			delete(out, op.Name)
		case OpAppend, OpSubtract:
			v, err := t.alterList(out, op)
			if err != nil {
				return nil, err
			}
			out[op.Name] = v
		default:
			return nil, &Error{Message: fmt.Sprintf("Unknown operations type %d", op.Type), Code: kerr.InvalidRequest}
		}
	}
	return out, nil
}

// alterList adds to a list what it does not have, or takes from it as often as named. A list that is not set starts
// from its default.
func (t *table) alterList(props map[string]string, op Op) (string, error) {
	k := t.byName[op.Name]
	if k == nil {
		// Kafka looks the key up in vain, and does not answer with INVALID_CONFIG.
		return "", &Error{Message: "Unknown config name: " + op.Name, Code: kerr.UnknownServerError}
	}
	verb := "append"
	if op.Type == OpSubtract {
		verb = "subtract"
	}
	if k.Type != TypeList {
		return "", invalidConfiguration("Config value " + verb + " is not allowed for config key: " + op.Name)
	}
	raw, ok := props[op.Name]
	if !ok {
		raw = k.Default
	}
	old, change := javaSplit(raw), javaSplit(op.Value)
	if op.Type == OpSubtract {
		for _, c := range change {
			if i := slices.Index(old, c); i >= 0 {
				old = slices.Delete(old, i, i+1)
			}
		}
		return strings.Join(old, ","), nil
	}
	if raw == "" {
		old = nil
	}
	before := slices.Clone(old)
	for _, c := range change {
		if !slices.Contains(before, c) {
			old = append(old, c)
		}
	}
	return strings.Join(old, ","), nil
}

// javaSplit is String.split(","): empty parts at the end are dropped, unless there is nothing else.
func javaSplit(s string) []string {
	parts := strings.Split(s, ",")
	for len(parts) > 0 && s != "" && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}
