package logstore

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/metadata"
)

const maxMetadataFileBytes = 4096

// encodeTopicID is the content of partition.metadata: no newline at the end.
func encodeTopicID(id metadata.TopicID) []byte {
	return []byte("version: 0\ntopic_id: " + id.String())
}

// decodeTopicID reads partition.metadata. Only the values of the first two lines count, not their keys, nor what follows, and a later version is
// taken as this one; the id may be padded (Kafka 3.9 PartitionMetadataReadBuffer, Uuid.fromString).
func decodeTopicID(b []byte) (id metadata.TopicID, err error) {
	if !utf8.Valid(b) {
		return id, errors.New("partition metadata file is not UTF-8")
	}
	lines := javaLines(string(b))
	var values [2]string
	for i := range values {
		if i >= len(lines) {
			return id, fmt.Errorf("partition metadata file has %d lines", len(lines))
		}
		fields := keyAndValue.Split(lines[i], -1)
		for len(fields) > 0 && fields[len(fields)-1] == "" { // as Java's split
			fields = fields[:len(fields)-1]
		}
		if len(fields) != 2 {
			return id, fmt.Errorf("malformed line in partition metadata file: %.100q", lines[i])
		}
		if values[i] = fields[1]; i == 0 {
			if v, err := strconv.ParseInt(fields[1], 10, 32); err != nil || v < 0 {
				return id, fmt.Errorf("unrecognized version of partition metadata file: %.20q", fields[1])
			}
		}
	}
	text := values[1]
	if len(text) == paddedIDChars {
		text = strings.TrimSuffix(text, "==")
	}
	if id, err = metadata.ParseTopicID(text); err == nil && id.IsZero() {
		err = fmt.Errorf("invalid topic id %s in partition metadata file", text)
	}
	return id, err
}

// paddedIDChars is the length of an id with the padding that base64 may have.
const paddedIDChars = 24

var keyAndValue = regexp.MustCompile(`:[ \t-\r]+`)

// TopicID is the topic's id; zero if neither the directory nor the controller told it.
func (l *Log) TopicID() metadata.TopicID {
	if id := l.topicID.Load(); id != nil {
		return *id
	}
	return metadata.TopicID{}
}

// AssignTopicID gives an id to a log that has none yet, durably. An id that differs from the log's is kerr.InconsistentTopicID.
func (l *Log) AssignTopicID(id metadata.TopicID) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	err := l.noteTopicID(id)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.settle(l.saveTopicID())
}

// noteTopicID stores id in memory. Caller holds mu.
func (l *Log) noteTopicID(id metadata.TopicID) error {
	if id.IsZero() {
		return fmt.Errorf("%s: the topic id must not be zero", l.tp)
	}
	if have := l.TopicID(); !have.IsZero() {
		if have != id {
			return fmt.Errorf("%s: tried to assign topic ID %s to a log that has topic ID %s: %w", l.tp, id, have, kerr.InconsistentTopicID)
		}
		return nil
	}
	l.topicID.Store(&id)
	l.idUnsaved.Store(true)
	return nil
}

// saveTopicID writes partition.metadata if that is still to do. It must be there before data are: recovered data need their topic id.
func (l *Log) saveTopicID() error {
	if !l.idUnsaved.Load() {
		return nil
	}
	l.idMu.Lock()
	defer l.idMu.Unlock()
	if !l.idUnsaved.Load() {
		return nil
	}
	if err := WriteDurably(l.env.fs, l.dir.path(metadataFile), encodeTopicID(l.TopicID())); err != nil {
		return err
	}
	l.idUnsaved.Store(false)
	return nil
}

// stageTopicID writes the temporary file of partition.metadata, without sync; commitTopicID puts it in place, after the caller synced it.
func (l *Log) stageTopicID() error {
	if !l.idUnsaved.Load() {
		return nil
	}
	return ioErr("write topic id", vfs.WriteFile(l.env.fs, l.dir.path(metadataFile)+tmpSuffix, encodeTopicID(l.TopicID()), false))
}

func (l *Log) commitTopicID() error {
	l.idMu.Lock()
	defer l.idMu.Unlock()
	if !l.idUnsaved.Load() {
		return nil
	}
	path := l.dir.path(metadataFile)
	if err := l.env.fs.Rename(path+tmpSuffix, path); err != nil {
		return ioErr("rename topic id", err)
	}
	l.idUnsaved.Store(false)
	return nil
}
