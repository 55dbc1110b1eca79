package handlers

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// apache39 are the versions that Apache Kafka 3.9.1 in ZooKeeper mode serves.
var apache39 = map[int16][2]int16{
	0: {0, 11}, 1: {0, 17}, 2: {0, 9}, 3: {0, 12}, 4: {0, 7}, 5: {0, 4}, 6: {0, 8}, 7: {0, 3}, 8: {0, 9}, 9: {0, 9}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5},
	14: {0, 5}, 15: {0, 5}, 16: {0, 5}, 17: {0, 1}, 18: {0, 4}, 19: {0, 7}, 20: {0, 6}, 21: {0, 2}, 22: {0, 5}, 23: {0, 4}, 24: {0, 5}, 25: {0, 4}, 26: {0, 4}, 27: {0, 1},
	28: {0, 4}, 29: {0, 3}, 30: {0, 3}, 31: {0, 3}, 32: {0, 4}, 33: {0, 2}, 34: {0, 2}, 35: {0, 4}, 36: {0, 2}, 37: {0, 3}, 38: {0, 3}, 39: {0, 2}, 40: {0, 2}, 41: {0, 3},
	42: {0, 2}, 43: {0, 2}, 44: {0, 1}, 45: {0, 0}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 49: {0, 1}, 50: {0, 0}, 51: {0, 0}, 56: {0, 3}, 57: {0, 1}, 58: {0, 0}, 60: {0, 1},
	61: {0, 0}, 65: {0, 0}, 66: {0, 1}, 67: {0, 0}, 68: {0, 0}, 69: {0, 0},
}

// newer are versions of Kafka 4 that are served beside those of 3.9.
var newer = map[int16]int16{0: 13, 1: 18, 26: 5, 27: 2, 28: 5, 57: 2, 68: 1, 69: 1}

const compatibilityHead = `# Compatibility

Generated from the handler table by a test; what stands here is what ApiVersions advertises. The measure is Apache Kafka 3.9.1 in
ZooKeeper mode. A key or version that is not wholly served is not advertised: its connection is closed, as Apache does with what it
does not know, and clients see it missing before they ask.

| key | API | served | Apache 3.9.1 |
|---|---|---|---|
`

const compatibilityTail = `
## Not served yet

ACLs, SASL, delegation tokens and TLS: their requests are answered as by an Apache broker without them. Quotas and the rest of administration.
DescribeTopicPartitions is not served, as by Apache with ZooKeeper: ` + "`" + `kafka-topics --describe` + "`" + ` of 3.9 would print another line than there.

## Transaction version 2

Clients of Kafka 4 raise their epoch with each transaction (KIP-890 part 2) once ` + "`" + `transaction.version` + "`" + ` 2 is finalized in ` + "`" + `/feature` + "`" + `. A dev broker is born with it; any other cluster gets it by
` + "`" + `gokafka cluster upgrade transaction.version=2` + "`" + `, or Apache's ` + "`" + `kafka-features` + "`" + `. **From then on no Apache 3.9 broker can join**: it exits on a feature that it does not know. The upgrade is refused while
one is registered; ` + "`" + `gokafka cluster downgrade transaction.version` + "`" + ` takes it back.

ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848) are served as by Kafka 4.1, and offered while every registered broker serves them; Apache 3.9 in
ZooKeeper mode offers version 0 and answers UNSUPPORTED_VERSION, as this broker does beside one. ` + "`group.consumer.migration.policy`" + ` says whether living
groups may change their protocol.

A configuration key that has no effect yet is named in a warning at start (docs/config.md lists them all); one that would be unsafe to ignore
(TLS, SASL, authorizers) refuses the start.

## Deliberate differences

| where | Apache 3.9.1 | gokafka |
|---|---|---|
| Produce, codec id above 4 or data that does not decompress | UNKNOWN_SERVER_ERROR | INVALID_RECORD |
| Produce 0–2, lengths or timestamps that a message cannot have | UNKNOWN_SERVER_ERROR | INVALID_RECORD |
| Produce with a null records field | never answers | INVALID_RECORD |
| Produce 0–2 and Fetch 0–3, a batch that unpacks to more than 64 MiB and has to be converted | no bound | MESSAGE_TOO_LARGE |
| Fetch 0–3, a stored batch whose CRC is wrong | converted, with new CRCs | CORRUPT_MESSAGE, or the answer ends before it |
| Fetch 0–3, the first data batch behind control batches | comes twice | comes once |
| Fetch 0–9 of a topic that the client may not read | may be told that it is zstd, or not to be converted | TOPIC_AUTHORIZATION_FAILED |
| Fetch, the records of a partition with UNSUPPORTED_COMPRESSION_TYPE or UNSUPPORTED_VERSION | null | empty |
| ListOffsets by time, with segments of magic 0 in front | nothing, if they were written to after that time | the first record at or after that time |
| Metadata v12 with a null name and no id | UNKNOWN_SERVER_ERROR for each topic | INVALID_REQUEST for each topic |
| FindCoordinator, unknown key type | UNKNOWN_SERVER_ERROR | INVALID_REQUEST |
| CreateTopics with an assignment without replicas | never answers | INVALID_REPLICA_ASSIGNMENT |
| DeleteTopics by the id of a topic that is just being deleted | its name and UNKNOWN_TOPIC_OR_PARTITION | UNKNOWN_TOPIC_ID |
| ` + "`group.coordinator.rebalance.protocols`" + ` not set (` + "`classic`" + `) | classic groups alone | also those of KIP-848, while all brokers serve them; set, and without ` + "`consumer`" + `, it turns them off |
| JoinGroup whose members' metadata is more than 64 MiB in a group, or 512 MiB in all | runs out of memory | GROUP_MAX_SIZE_REACHED |
| JoinGroup of the type "consumer" with metadata that is no subscription | the rebalance never ends | is served |
| DeleteGroups whose tombstones cannot be written | no error, and the group comes back | COORDINATOR_NOT_AVAILABLE |
| Markers for a partition that the coordinator's broker does not know | the partition counts as deleted | it is looked up in ZooKeeper first |
| A change of a transactional id that was not replicated in time and is later | the coordinator's memory differs from its log | it counts; until then CONCURRENT_TRANSACTIONS |
| TxnOffsetCommit with producer id -1 and without verification | a commit outside transactions | INVALID_PRODUCER_ID_MAPPING |
| A broker restarted after kill -9 | exits, as its old session still holds its id | ends its own old session and goes on |
`

func compatibility() string {
	var b strings.Builder
	b.WriteString(compatibilityHead)
	for _, row := range Table() {
		a, ok := apache39[row.Key.Int16()]
		theirs := "–"
		if ok {
			theirs = fmt.Sprintf("%d–%d", a[0], a[1])
		}
		fmt.Fprintf(&b, "| %d | %s | %d–%d | %s |\n", row.Key.Int16(), row.Key.Name(), row.Min, row.Max, theirs)
	}
	b.WriteString(compatibilityTail)
	return b.String()
}

// worksTable is the README's table of what works, between its marks.
func worksTable() string {
	var b strings.Builder
	served, whole := 0, 0
	for _, row := range Table() {
		if a, ok := apache39[row.Key.Int16()]; ok {
			served++
			if a[0] == row.Min && a[1] <= row.Max {
				whole++
			}
		}
	}
	fmt.Fprintf(&b, "| of Apache 3.9.1's %d APIs | %d served, %d of them in all its versions |\n|---|---|\n", len(apache39), served, whole)
	var names []string
	for _, row := range Table() {
		names = append(names, fmt.Sprintf("%s %d–%d", row.Key.Name(), row.Min, row.Max))
	}
	fmt.Fprintf(&b, "| served | %s |\n", strings.Join(names, ", "))
	return b.String()
}

const (
	beginMark = "<!-- begin generated table -->\n"
	endMark   = "<!-- end generated table -->\n"
)

func TestDocs(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(readme), beginMark)
	_, tail, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no marks for the generated table")
	}
	for file, want := range map[string]string{
		"../docs/compatibility.md": compatibility(),
		"../README.md":             head + beginMark + worksTable() + endMark + tail,
	} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Errorf("%s is stale; run make docs (%v)", file, err)
		}
	}
}

// The table is sorted, has no key twice, and advertises no version that Apache 3.9 does not have, but for those of newer.
func TestTable(t *testing.T) {
	prev := int16(-1)
	for _, row := range Table() {
		k := row.Key.Int16()
		if k <= prev {
			t.Errorf("key %d after %d", k, prev)
		}
		prev = k
		a, ok := apache39[k]
		if !ok || row.Min < a[0] || row.Max > max(a[1], newer[k]) || row.Min > row.Max {
			t.Errorf("%s: versions %d to %d, Apache's are %v", row.Key.Name(), row.Min, row.Max, a)
		}
		if row.Serve == nil || (row.Resource == 0) != (row.Operation == 0) {
			t.Errorf("%s: incomplete row", row.Key.Name())
		}
	}
}
