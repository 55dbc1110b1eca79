package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gokafka/internal/vfs"
	"gokafka/logstore"
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
	DirectoryID string // version 1 only
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
	m, err = parseMeta(string(b))
	if err != nil {
		return m, false, &MetaError{fmt.Errorf("%s: %w", path, err)}
	}
	return m, true, nil
}

// MetaError says that a meta.properties does not fit the broker. The broker must not start, whatever other directories say.
type MetaError struct{ err error }

func (e *MetaError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *MetaError) Unwrap() error { return e.err }

// parseMeta reads versions 0 (ZooKeeper) and 1 (KRaft, where the broker id is called node.id). Order, comments and unknown keys do not
// matter (Kafka 3.9 MetaProperties).
func parseMeta(text string) (Meta, error) {
	props := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		props[strings.TrimSpace(key)] = strings.TrimSpace(strings.ReplaceAll(value, `\`, ""))
	}
	m := Meta{BrokerID: -1, ClusterID: props["cluster.id"], DirectoryID: props["directory.id"]}
	idKey := "broker.id"
	switch v := props["version"]; v {
	case "0":
	case "1":
		m.Version, idKey = 1, "node.id"
	default:
		return m, fmt.Errorf("version %q is not 0 or 1", v)
	}
	if text, there := props[idKey]; there {
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil || id < 0 {
			return m, fmt.Errorf("%s %q is not a broker id", idKey, text)
		}
		m.BrokerID = int32(id)
	}
	return m, nil
}

// encodeMeta is the file as Java writes it.
func encodeMeta(m Meta, now time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "#\n#%s\n", now.UTC().Format("Mon Jan 02 15:04:05 MST 2006"))
	if m.Version == 0 {
		fmt.Fprintf(&b, "broker.id=%d\nversion=0\ncluster.id=%s\n", m.BrokerID, m.ClusterID)
		return []byte(b.String())
	}
	fmt.Fprintf(&b, "node.id=%d\n", m.BrokerID)
	if m.DirectoryID != "" {
		fmt.Fprintf(&b, "directory.id=%s\n", m.DirectoryID)
	}
	fmt.Fprintf(&b, "version=1\ncluster.id=%s\n", m.ClusterID)
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
