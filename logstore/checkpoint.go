package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gokafka/internal/vfs"
	"gokafka/metadata"
)

// tmpSuffix ends the name of a file that is written before it replaces another.
const tmpSuffix = ".tmp"

// checkpointVersion is the first line of every checkpoint file.
const checkpointVersion = "0"

// encodeCheckpoint makes the content of a checkpoint file: version, number of entries, entries; LF after each line.
func encodeCheckpoint(lines []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n", checkpointVersion, len(lines))
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// errBadCheckpoint is wrapped by the errors for files that are not checkpoints.
var errBadCheckpoint = errors.New("malformed checkpoint file")

// readCheckpoint calls entry for the fields of each entry. An empty file has none (Kafka 3.9 CheckpointFile).
func readCheckpoint(fs vfs.FS, path string, maxBytes int64, entry func(fields []string) error) error {
	b, err := vfs.ReadFile(fs, path, maxBytes)
	if err != nil {
		return ioErr("read checkpoint", err)
	}
	if err := decodeCheckpoint(b, entry); err != nil {
		return fmt.Errorf("%s: %w: %w", path, errBadCheckpoint, err)
	}
	return nil
}

func decodeCheckpoint(b []byte, entry func(fields []string) error) error {
	if len(b) == 0 {
		return nil
	}
	lines := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) < 2 || lines[0] != checkpointVersion {
		return fmt.Errorf("version %q is not %s", lines[0], checkpointVersion)
	}
	want, err := strconv.Atoi(lines[1])
	if err != nil || want < 0 {
		return fmt.Errorf("number of entries %q", lines[1])
	}
	lines = lines[2:]
	if want != len(lines) {
		return fmt.Errorf("%d entries, but the file says %d", len(lines), want)
	}
	for i, l := range lines {
		if err := entry(strings.Fields(l)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}

// parseInt reads one of exactly n fields.
func parseInt(fields []string, n, i, bits int) (int64, error) {
	if len(fields) != n {
		return 0, fmt.Errorf("%d fields instead of %d", len(fields), n)
	}
	v, err := strconv.ParseInt(fields[i], 10, bits)
	if err != nil {
		return 0, fmt.Errorf("field %q is not a number", fields[i])
	}
	return v, nil
}

// maxOffsetFileBytes bounds an offset checkpoint: some hundred thousand partitions with the longest names.
const maxOffsetFileBytes = 128 << 20

// ReadOffsets reads an offset checkpoint file: topic, partition, offset. A missing file is an error that is fs.ErrNotExist.
func ReadOffsets(fs vfs.FS, path string) (map[metadata.TopicPartition]int64, error) {
	out := map[metadata.TopicPartition]int64{}
	err := readCheckpoint(fs, path, maxOffsetFileBytes, func(fields []string) error {
		p, err := parseInt(fields, 3, 1, 32)
		if err != nil {
			return err
		}
		o, err := parseInt(fields, 3, 2, 64)
		if err != nil {
			return err
		}
		tp := metadata.TopicPartition{Topic: fields[0], Partition: int32(p)}
		if _, twice := out[tp]; twice {
			return fmt.Errorf("%s is there twice", tp)
		}
		out[tp] = o
		return nil
	})
	return out, err
}

// WriteOffsets replaces an offset checkpoint file: temporary file, sync, rename, sync of the directory.
func WriteOffsets(fs vfs.FS, path string, offsets map[metadata.TopicPartition]int64) error {
	lines := make([]string, 0, len(offsets))
	for tp, o := range offsets {
		lines = append(lines, fmt.Sprintf("%s %d %d", tp.Topic, tp.Partition, o))
	}
	return WriteDurably(fs, path, encodeCheckpoint(lines))
}

// WriteDurably replaces a small file so that after a crash either the old or the new content is there.
func WriteDurably(fs vfs.FS, path string, content []byte) error {
	if err := vfs.WriteFile(fs, path+tmpSuffix, content, true); err != nil {
		return ioErr("write "+path, err)
	}
	if err := fs.Rename(path+tmpSuffix, path); err != nil {
		return ioErr("rename "+path, err)
	}
	return ioErr("sync directory", fs.SyncDir(filepath.Dir(path)))
}
