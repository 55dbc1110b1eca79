package logdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

const (
	metaFile         = "meta.properties"
	maxMetaFileBytes = 64 << 10
)

// Meta is the content of meta.properties: who a log directory belongs to.
type Meta struct {
	Version     int
	BrokerID    int32 // -1 = not there
	ClusterID   string
	DirectoryID string
}

// readMeta reads meta.properties; ok is false if there is none.
func readMeta(fsys vfs.FS, dir string) (m Meta, ok bool, err error) {
	path := filepath.Join(dir, metaFile)
	b, err := vfs.ReadFile(fsys, path, maxMetaFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{BrokerID: -1}, false, nil
	}
	if err != nil {
		return m, false, err
	}
	if m, err = parseMeta(b); err != nil {
		return m, false, fmt.Errorf("%s: %w", path, err)
	}
	if reservedDirectoryID(m.DirectoryID) {
		return m, false, &MetaError{fmt.Errorf("%s: directory.id %s is reserved", path, m.DirectoryID)}
	}
	return m, true, nil
}

// MetaError says that a meta.properties does not fit the broker or the other directories'. The broker must not start. One that merely cannot be
// read takes its directory offline.
type MetaError struct{ err error }

func (e *MetaError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *MetaError) Unwrap() error { return e.err }

// parseMeta reads versions 0 (ZooKeeper), which a file without a version has, and 1 (KRaft, where the broker id is called node.id). Unknown
// keys do not matter (Kafka 3.9 MetaProperties).
func parseMeta(text []byte) (Meta, error) {
	m := Meta{BrokerID: -1}
	props, err := config.ParseProperties(text)
	if err != nil {
		return m, err
	}
	m.ClusterID, m.DirectoryID = props["cluster.id"], props["directory.id"]
	idKey := "broker.id"
	if text, there := props["version"]; there {
		switch v, err := strconv.ParseInt(text, 10, 32); {
		case err != nil || v < 0 || v > 1:
			return m, fmt.Errorf("version %q is not 0 or 1", text)
		case v == 1:
			m.Version, idKey = 1, "node.id"
		}
	}
	if text, there := props[idKey]; there {
		id, err := strconv.ParseInt(text, 10, 32)
		switch {
		case err != nil:
			return m, fmt.Errorf("%s %q is not a broker id", idKey, text)
		case id < 0:
			return m, &MetaError{fmt.Errorf("%s %d is nobody's", idKey, id)}
		}
		m.BrokerID = int32(id)
	}
	if m.Version == 1 && (m.ClusterID == "" || m.BrokerID < 0) {
		return m, errors.New("version 1 without cluster.id or node.id")
	}
	if text, there := props["directory.id"]; there {
		if _, err := parseDirectoryID(text); err != nil {
			return m, fmt.Errorf("directory.id: %w", err)
		}
	}
	return m, nil
}

// parseDirectoryID reads an id as Java's Uuid does, which may be padded.
func parseDirectoryID(text string) (metadata.TopicID, error) {
	return metadata.ParseTopicID(strings.TrimSuffix(text, "=="))
}

// reservedDirectoryID is whether an id is one of the first hundred, which stand for lost, unassigned and the like (Kafka 3.9 DirectoryId).
func reservedDirectoryID(text string) bool {
	id, err := parseDirectoryID(text)
	return err == nil && binary.BigEndian.Uint64(id[:8]) == 0 && int64(binary.BigEndian.Uint64(id[8:])) < reservedIDs
}

const reservedIDs = 100

// encodeMeta is the file as Java writes it.
func encodeMeta(m Meta, now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "#\n#%s\n", now.UTC().Format("Mon Jan 02 15:04:05 MST 2006"))
	idKey := "broker.id"
	if m.Version == 1 {
		idKey = "node.id"
	}
	fmt.Fprintf(&b, "%s=%d\n", idKey, m.BrokerID)
	if m.DirectoryID != "" {
		fmt.Fprintf(&b, "directory.id=%s\n", m.DirectoryID)
	}
	fmt.Fprintf(&b, "version=%d\ncluster.id=%s\n", m.Version, m.ClusterID)
	return []byte(b.String())
}

// claim checks that the directory belongs to this broker of this cluster, and writes that down where it is missing.
func (d *dir) claim(fsys vfs.FS, brokerID int32, clusterID string, now time.Time) error {
	m := d.meta
	if d.hasMeta {
		if m.ClusterID != "" && m.ClusterID != clusterID {
			return &MetaError{fmt.Errorf("the cluster ID %s doesn't match stored clusterId %s in %s: the broker is trying to join the wrong cluster", clusterID, m.ClusterID, d.path)}
		}
		if m.BrokerID >= 0 && m.BrokerID != brokerID {
			return &MetaError{fmt.Errorf("configured broker.id %d doesn't match stored broker.id %d in %s", brokerID, m.BrokerID, d.path)}
		}
	}
	want := m
	want.BrokerID, want.ClusterID = brokerID, clusterID
	if d.hasMeta && m == want {
		return nil // never rewritten without need
	}
	d.meta, d.hasMeta = want, true
	return logstore.WriteDurably(fsys, filepath.Join(d.path, metaFile), encodeMeta(want, now))
}
