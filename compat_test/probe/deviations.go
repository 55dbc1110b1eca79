package probe

import (
	"fmt"
	"strings"
)

// Deviation says that gokafka answers a step otherwise than Apache 3.9.1, on purpose.
type Deviation struct {
	Case, Step string // both are matched as parts
	Code       int16  // the error code gokafka answers instead
	Why        string
}

// Deviations are all known ones. The test fails when one of them shows nowhere.
func Deviations() []Deviation {
	const (
		exception = "Apache answers UNKNOWN_SERVER_ERROR after an unexpected exception; gokafka says that the record is invalid"
		silent    = "Apache never answers, from an exception in its error handling"
		twice     = "Apache sends the first data batch behind control batches twice to old consumers; gokafka sends it once"
		change    = "Apache answers UNKNOWN_SERVER_ERROR after an unexpected exception; gokafka says what is wrong with the change"
		five      = "Apache keeps only the last batch of a producer over a restart; gokafka keeps five, as clients with five requests in flight need"
	)
	return []Deviation{
		{"produce/batches", "length 2^31-1", 87, exception},
		{"produce/batches", "codec ", 87, exception},
		{"produce/batches", "a varint of 11 bytes", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "timestamp -2", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "producer id and sequence without epoch", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "producer id -2", 87, exception},
		{"produce/null records", "null", 87, silent},
		{"old-produce/codecs", "wrong checksum of its header", 87, exception},
		{"old-produce/bad sets", "length 2147483647", 87, exception},
		{"old-produce/bad sets", "key length", 87, exception},
		{"old-produce/bad sets", "value length", 87, exception},
		{"old-produce/bad sets", "codec ", 87, exception},
		{"old-produce/bad sets", "timestamp -", 87, exception},
		{"old-produce/bad sets", "magic 1 that is too short for it", 87, exception},
		{"old-produce/bad sets", "magic 0 that says 1", 87, exception},
		{"old-produce/requests", "three partitions", 87, exception},
		{"old-produce/requests", "null records", 87, silent},
		{"createtopics/assignments that Apache never answers", "", 39, silent},
		{"metadata/by id", "v12: null name and zero id", 42, "Apache answers UNKNOWN_SERVER_ERROR and no brokers after an unexpected exception"},
		{"old-fetch/control batches", "from 1", 0, twice},
		{"old-fetch/control batches", "from 4", 0, twice},
		{"old-segments/", "a time, with messages that have none in front", 0,
			"Apache stops at the first segment written to after that time, though its messages have no times; gokafka goes on to the next"},
		{"alterconfigs/topic, each refusal", "no.such.config 2", 40, change},
		{"alterconfigs/topic, each refusal", "retention.ms 7", 42, change},
		{"alterconfigs/broker, each refusal", "ssl.keystore.location", 42, "there is no TLS yet, and a key store that would do nothing is refused"},
		{"restart/after SIGKILL", "the last five again", 0, five},
		{"restart/after SIG", "append time topic: epoch 0 sequence 0", 0, five},
	}
}

// Covers says whether the deviation is about this step, and whether the answer is the one it tells.
func (d Deviation) Covers(caseID, step string, answer any) bool {
	return strings.Contains(caseID, d.Case) && strings.Contains(step, d.Step) &&
		strings.Contains(compact(plain(answer)), fmt.Sprintf(`"ErrorCode":%d`, d.Code))
}
