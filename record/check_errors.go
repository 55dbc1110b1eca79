package record

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxRecordErrors bounds the errors kept of one batch. Kafka keeps all; a batch of a megabyte can hold 150,000 records.
const maxRecordErrors = 1000

// RecordError names a record that a leader refuses, as in a Produce response from version 8 on.
type RecordError struct {
	BatchIndex int32
	Message    string
}

func (e RecordError) String() string {
	return fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", e.BatchIndex, e.Message)
}

// BatchError is why a leader refuses a batch. It wraps the Kafka error.
type BatchError struct {
	Kind *kerr.Error
	Text string
	// Records are the records at fault, at most 1000, if the records themselves and not the batch are. Only then does the client
	// get Text as error message (Kafka 3.9 RecordValidationException).
	Records []RecordError
}

func (e *BatchError) Error() string { return e.Text }

// Unwrap gives the Kafka error.
func (e *BatchError) Unwrap() error { return e.Kind }

func refuse(kind *kerr.Error, format string, args ...any) *BatchError {
	return &BatchError{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// recordErrors gathers the records at fault.
type recordErrors struct {
	list      []RecordError
	count     int
	timestamp bool // one of them for its timestamp
}

func (e *recordErrors) add(index int32, timestamp bool, format string, args ...any) {
	e.count++
	e.timestamp = e.timestamp || timestamp
	if len(e.list) < maxRecordErrors {
		e.list = append(e.list, RecordError{BatchIndex: index, Message: fmt.Sprintf(format, args...)})
	}
}

// result is nil without errors (Kafka 3.9 LogValidator.processRecordErrors).
func (e *recordErrors) result() error {
	if e.count == 0 {
		return nil
	}
	if e.timestamp {
		return &BatchError{Kind: kerr.InvalidTimestamp, Records: e.list,
			Text: "One or more records have been rejected due to invalid timestamp"}
	}
	var first []string
	for _, r := range e.list[:min(3, len(e.list))] {
		first = append(first, r.String())
	}
	return &BatchError{Kind: kerr.InvalidRecord, Records: e.list,
		Text: fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
			e.count, strings.Join(first, ", "))}
}
