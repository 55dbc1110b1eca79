package samefiles

import (
	"encoding/binary"
	"hash/crc32"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/wire"
)

var uuid = regexp.MustCompile(`\.[0-9a-f]{32}-delete`)

// fileName is a name without what is random in it.
func fileName(name string) string { return uuid.ReplaceAllString(name, ".<id>-delete") }

// state is how the brokers were ended.
type state struct {
	clean bool
	// last is the newest segment of each partition, without suffix.
	last map[string]bool
}

// leftOut says why a file is not compared, or "".
func (st *state) leftOut(name string) string {
	topic := path.Dir(name)
	switch {
	case name == ".gokafka-session":
		return "the id of gokafka's ZooKeeper session, with which it ends its own old one; Apache ignores plain files"
	case strings.HasSuffix(topic, "-delete") && path.Base(name) == datadir.Epochs:
		return "on loading what it will delete Apache does not look for its end, and takes all epochs to be beyond it"
	case strings.HasPrefix(topic, "to-") && (path.Ext(name) == ".index" || path.Ext(name) == ".timeindex"):
		return "positions follow from the sizes of compressed batches, and the compressors differ"
	case st.clean && !strings.HasSuffix(topic, "-delete"):
		return ""
	case st.last[strings.TrimSuffix(name, path.Ext(name))] && (path.Ext(name) == ".index" || path.Ext(name) == ".timeindex"):
		return "the index of the segment that was growing: Apache has it in a mapped file filled with zeros ahead, gokafka in memory; both make it anew"
	case path.Base(name) == datadir.HighWatermarks:
		return "what the last checkpoint of a schedule saw"
	}
	return ""
}

// reserved ends with the zeros that a preallocated segment has until it is full or closed: Apache makes the file as long as the
// segment may be, gokafka reserves blocks and leaves its length alone.
func (st *state) reserved(name string) bool {
	return !st.clean && strings.HasPrefix(name, "preallocated-") && path.Ext(name) == ".log" && st.last[strings.TrimSuffix(name, ".log")]
}

// canonical is the content without what cannot be the same.
func canonical(name string, b []byte) []byte {
	base, topic := path.Base(name), path.Dir(name)
	switch {
	case base == datadir.MetaProperties:
		return properties(b)
	case base == datadir.RecoveryPoints || base == datadir.HighWatermarks || base == datadir.LogStarts || base == datadir.CleanerOffsets:
		return sortedLines(b) // in the order of a hash map
	case base == datadir.TopicID:
		return regexp.MustCompile(`topic_id: [A-Za-z0-9_-]{22}$`).ReplaceAll(b, []byte("topic_id: <id>"))
	case path.Ext(base) == ".snapshot":
		if strings.HasPrefix(topic, "append-time-") {
			return withoutTimes(base, b)
		}
		return b
	case strings.HasPrefix(topic, "append-time-"):
		return withoutTimes(base, b)
	case strings.HasPrefix(topic, "to-") && path.Ext(base) == ".log":
		return decompressed(b)
	}
	return b
}

// properties leaves the date and the cluster's id out.
func properties(b []byte) []byte {
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		switch {
		case i == 1 && strings.HasPrefix(l, "#"):
			lines[i] = "#<date>"
		case strings.HasPrefix(l, "cluster.id="):
			lines[i] = "cluster.id=<id>"
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

func sortedLines(b []byte) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	if len(lines) > 2 {
		slices.Sort(lines[2:])
	}
	return []byte(strings.Join(lines, ""))
}

// withoutTimes zeroes the broker's own clock in the files of a LogAppendTime topic, and what is computed from it.
func withoutTimes(base string, b []byte) []byte {
	b = slices.Clone(b)
	zero := func(at, n int) { clear(b[at : at+n]) }
	switch path.Ext(base) {
	case ".log":
		for _, batch := range split(b) {
			at := batch.at
			zero(at+wire.PosMaxTimestamp, 8)
			zero(at+wire.PosCRC, 4)
		}
	case ".timeindex":
		for at := 0; at+12 <= len(b); at += 12 {
			zero(at, 8)
		}
	case ".snapshot":
		if len(b) < snapshotHeader {
			return b
		}
		right := binary.BigEndian.Uint32(b[2:]) == crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli)) // it follows from the times
		copy(b[2:6], map[bool]string{true: "good", false: "bad!"}[right])
		for at := snapshotHeader; at+snapshotEntry <= len(b); at += snapshotEntry {
			zero(at+26, 8)
		}
	}
	return b
}

// Sizes in a snapshot: int16 version, CRC, int32 count; an entry.
const (
	snapshotHeader = 10
	snapshotEntry  = 46
)

type span struct{ at, size int }

// split finds the whole batches in a segment.
func split(b []byte) (out []span) {
	for at := 0; len(b)-at >= wire.PosRecords; {
		size := int(binary.BigEndian.Uint32(b[at+wire.PosLength:])) + 12
		if size < wire.PosRecords || size > len(b)-at {
			break
		}
		out = append(out, span{at, size})
		at += size
	}
	return out
}

// decompressed has each batch with its records as they were before compression, without length and CRC: the compressors of
// the two brokers are different programs.
func decompressed(b []byte) (out []byte) {
	for _, s := range split(b) {
		batch := slices.Clone(b[s.at : s.at+s.size])
		clear(batch[wire.PosLength : wire.PosLength+4])
		clear(batch[wire.PosCRC : wire.PosCRC+4])
		codec := kgo.CompressionCodecType(batch[wire.PosAttributes+1] & 7)
		plain, err := kgo.DefaultDecompressor().Decompress(batch[wire.PosRecords:], codec)
		if err != nil {
			plain = []byte(err.Error())
		}
		out = append(append(out, batch[:wire.PosRecords]...), plain...)
	}
	return out
}
