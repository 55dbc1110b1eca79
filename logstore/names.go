package logstore

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"gokafka/metadata"
)

// Suffixes of files and partition directories, as in Kafka 3.9 LogFileUtils and LocalLog.
const (
	logSuffix      = ".log"
	indexSuffix    = ".index"
	timeSuffix     = ".timeindex"
	txnSuffix      = ".txnindex"
	snapshotSuffix = ".snapshot"

	deletedSuffix = ".deleted"
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"

	epochFile    = "leader-epoch-checkpoint"
	metadataFile = "partition.metadata"

	// DeleteDirSuffix, FutureDirSuffix and StrayDirSuffix end the names of directories that are not, or not yet, a partition's.
	DeleteDirSuffix = "-delete"
	FutureDirSuffix = "-future"
	StrayDirSuffix  = "-stray"
)

// offsetName is the name of a file that belongs to the segment or snapshot at offset.
func offsetName(offset int64, suffix string) string { return fmt.Sprintf("%020d%s", offset, suffix) }

// parseOffsetName returns the offset a file name begins with. Names without one are not ours.
func parseOffsetName(name string) (offset int64, suffix string, ok bool) {
	digits, _, found := strings.Cut(name, ".")
	if !found || digits == "" {
		return 0, "", false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, "", false
	}
	return n, name[len(digits):], true
}

// DirName makes the name of a directory that is not a plain partition directory: topic, partition, a random id, suffix. All but
// "-future" are cut in the topic to at most 255 characters (Kafka 3.9 LocalLog.logDirNameWithSuffixCappedLength).
func DirName(tp metadata.TopicPartition, suffix string) string {
	var id [16]byte
	rand.Read(id[:])
	tail := fmt.Sprintf("-%d.%s%s", tp.Partition, hex.EncodeToString(id[:]), suffix)
	topic := tp.Topic
	if suffix != FutureDirSuffix {
		topic = topic[:min(len(topic), 255-len(tail))]
	}
	return topic + tail
}

// ParseDirName reads the name of a directory in a log directory. suffix is "" for a partition's own directory, else one of the suffixes
// above; the topic of a "-delete" or "-stray" directory may be cut. Everything before the last "-" is the topic
// (Kafka 3.9 LocalLog.parseTopicPartitionName).
func ParseDirName(name string) (tp metadata.TopicPartition, suffix string, err error) {
	rest := name
	for _, s := range []string{DeleteDirSuffix, FutureDirSuffix, StrayDirSuffix} {
		cut, ok := strings.CutSuffix(name, s)
		if !ok {
			continue
		}
		dot := strings.LastIndexByte(cut, '.')
		if dot < 0 || dot == len(cut)-1 {
			return tp, "", fmt.Errorf("directory name %q ends in %q without a unique id before it", name, s)
		}
		rest, suffix = cut[:dot], s
		break
	}
	dash := strings.LastIndexByte(rest, '-')
	if dash <= 0 {
		return tp, "", fmt.Errorf("directory name %q is not of the form topic-partition", name)
	}
	partition, err := strconv.ParseInt(rest[dash+1:], 10, 32)
	if err != nil || partition < 0 {
		return tp, "", fmt.Errorf("directory name %q does not end in a partition number", name)
	}
	return metadata.TopicPartition{Topic: rest[:dash], Partition: int32(partition)}, suffix, nil
}

// dirRef is the partition's directory. It changes when the directory is renamed, while files are opened lazily.
type dirRef struct{ p atomic.Pointer[string] }

func (d *dirRef) get() string  { return *d.p.Load() }
func (d *dirRef) set(s string) { d.p.Store(&s) }
func (d *dirRef) path(name string) string {
	return filepath.Join(d.get(), name)
}
