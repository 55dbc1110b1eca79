package logstore

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/metadata"
)

const maxMetadataFileBytes = 4096

// encodeTopicID is the content of partition.metadata: no newline at the end.
func encodeTopicID(id metadata.TopicID) []byte {
	return []byte("version: 0\ntopic_id: " + id.String())
}

// decodeTopicID reads partition.metadata (Kafka 3.9 PartitionMetadataFile).
func decodeTopicID(b []byte) (metadata.TopicID, error) {
	version, rest, _ := strings.Cut(string(b), "\n")
	if version = strings.TrimSuffix(version, "\r"); version != "version: 0" {
		return metadata.TopicID{}, fmt.Errorf("unrecognized version of partition metadata file: %q", version)
	}
	text, ok := strings.CutPrefix(strings.TrimRight(rest, "\r\n"), "topic_id: ")
	if !ok {
		return metadata.TopicID{}, fmt.Errorf("malformed line in partition metadata file: %q", rest)
	}
	id, err := metadata.ParseTopicID(text)
	if err == nil && id.IsZero() {
		err = fmt.Errorf("invalid topic id %s in partition metadata file", text)
	}
	return id, err
}

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
