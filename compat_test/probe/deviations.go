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
		five      = "Apache keeps only the last batch of a producer over a restart; gokafka keeps five, as clients with five requests in flight need"
	)
	const nullRecords = "Apache sends null records with this error; gokafka sends empty ones, as librdkafka takes null for a broken answer"
	return []Deviation{
		{"produce-versions/codec of the topic", "zstd before zstd was known", 76, nullRecords},
		{"fetch/read committed", "isolation level 2", -1, nullRecords},
		{"produce/batches", "length 2^31-1", 87, exception},
		{"produce/batches", "codec ", 87, exception},
		{"produce/batches", "a varint of 11 bytes", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "timestamp -2", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "producer id and sequence without epoch", 87, exception},
		{"produce/doubtful batches on a topic that recompresses", "producer id -2", 87, exception},
		{"produce/null records", "null", 87, silent},
		{"createtopics/assignments that Apache never answers", "", 39, silent},
		{"metadata/by id", "v12: null name and zero id", 42, "Apache answers UNKNOWN_SERVER_ERROR and no brokers after an unexpected exception"},
		{"restart/after SIGKILL", "the last five again", 0, five},
		{"restart/after SIG", "append time topic: epoch 0 sequence 0", 0, five},
	}
}

// Covers says whether the deviation is about this step, and whether the answer is the one it tells.
func (d Deviation) Covers(caseID, step string, answer any) bool {
	return strings.Contains(caseID, d.Case) && strings.Contains(step, d.Step) &&
		strings.Contains(compact(plain(answer)), fmt.Sprintf(`"ErrorCode":%d`, d.Code))
}
