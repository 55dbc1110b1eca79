package znode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// encode writes compact JSON as Jackson does: no escapes for <, > and &.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("znode: %T cannot be encoded: %v", v, err)) // fixed structs of ours: cannot happen
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decode reads data of path into v. Data are bounded by the size of an answer (coordination).
func decode(path string, data []byte, v any) error {
	if len(data) == 0 {
		return malformed(path, data, errors.New("no data"))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return malformed(path, data, err)
	}
	return nil
}

// MalformedError is data that Kafka would not have written.
type MalformedError struct {
	Path string
	Data []byte
	Err  error
}

func (e *MalformedError) Error() string {
	data := e.Data
	if len(data) > 200 {
		data = data[:200]
	}
	return fmt.Sprintf("malformed data in znode %s: %v: %q", e.Path, e.Err, data)
}

func (e *MalformedError) Unwrap() error { return e.Err }

func malformed(path string, data []byte, err error) error {
	return &MalformedError{Path: path, Data: data, Err: err}
}

// missing returns an error for the first key whose value is absent.
func missing(keys map[string]bool) error {
	for k, ok := range keys {
		if !ok {
			return fmt.Errorf("key %q is missing", k)
		}
	}
	return nil
}

// partitionID reads a partition number that is a JSON key.
func partitionID(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a partition number", s)
	}
	return int32(n), nil
}

// intsOrEmpty avoids JSON null for an empty list.
func intsOrEmpty(v []int32) []int32 {
	if v == nil {
		return []int32{}
	}
	return v
}
