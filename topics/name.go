package topics

import (
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The names of topics that have a meaning to brokers.
const (
	ConsumerOffsets  = "__consumer_offsets"
	TransactionState = "__transaction_state"
	ShareGroupState  = "__share_group_state"
	ClusterMetadata  = "__cluster_metadata" // KRaft's log: never a topic
)

// maxNameLength leaves room for "-partition.hash-delete" in a directory name of 255 bytes.
const maxNameLength = 249

// IsInternal says whether clients see the topic marked as internal.
func IsInternal(name string) bool {
	return name == ConsumerOffsets || name == TransactionState || name == ShareGroupState
}

// ValidateName checks a topic name: INVALID_TOPIC_EXCEPTION.
// Source: Kafka 3.9 org.apache.kafka.common.internals.Topic.
func ValidateName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "the empty string is not allowed"
	case name == "." || name == "..":
		why = "'" + name + "' is not allowed"
	case len(name) > maxNameLength && len(utf16.Encode([]rune(name))) > maxNameLength:
		why = "the length of '" + name + "' is longer than the max allowed length 249"
	case strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }):
		why = "'" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
	default:
		return nil
	}
	return refuse(kerr.InvalidTopicException, "Topic name is invalid: %s", why)
}

func legal(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// Collide says whether metrics of the two topics would have the same name: '.' and '_' are one there.
func Collide(a, b string) bool { return unify(a) == unify(b) }

func unify(name string) string { return strings.ReplaceAll(name, ".", "_") }

func canCollide(name string) bool { return strings.ContainsAny(name, "._") }

// colliding returns those of names that collide with name, sorted; name itself is not one of them.
func colliding(name string, names []string) []string {
	var out []string
	u := unify(name)
	for _, n := range names {
		if n != name && unify(n) == u {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
