package logstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

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

// errBadCheckpoint is wrapped by the errors for files that are not checkpoints. Kafka takes the directory of such a file offline.
var errBadCheckpoint = errors.New("malformed checkpoint file")

// errBadNumber is wrapped, besides, where only a number within an entry is wrong, or the number of entries is negative.
var errBadNumber = errors.New("not a valid number")

// IsBadNumber says that a checkpoint file has the right form, but an entry's number cannot be read. Kafka's loader takes an offset checkpoint
// with such an entry as empty.
func IsBadNumber(err error) bool { return errors.Is(err, errBadNumber) }

// readCheckpoint calls entry for the fields of each entry (Kafka 3.9 CheckpointFile). It returns the file's content.
func readCheckpoint(fs vfs.FS, path string, maxBytes int64, entry func(fields []string) error) ([]byte, error) {
	b, err := vfs.ReadFile(fs, path, maxBytes)
	if err != nil {
		return nil, ioErr("read checkpoint", err)
	}
	if err := decodeCheckpoint(b, entry); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errBadCheckpoint, err)
	}
	return b, nil
}

// decodeCheckpoint reads what Kafka's CheckpointReadBuffer reads: an empty file has no entries, nor has one that ends after the version;
// lines end as Java's end.
func decodeCheckpoint(b []byte, entry func(fields []string) error) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	lines := javaLines(string(b))
	if len(lines) == 0 {
		return nil
	}
	if version, err := strconv.ParseInt(lines[0], 10, 32); err != nil || version != 0 {
		return fmt.Errorf("version %.20q is not %s", lines[0], checkpointVersion)
	}
	if len(lines) == 1 {
		return nil
	}
	want, err := strconv.ParseInt(lines[1], 10, 32)
	if err != nil {
		return fmt.Errorf("number of entries %.20q", lines[1])
	}
	if want < 0 {
		return fmt.Errorf("%d entries: %w", want, errBadNumber)
	}
	lines = lines[2:]
	for i, l := range lines {
		if err := entry(javaFields(l)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	if int(want) != len(lines) {
		return fmt.Errorf("%d entries, but the file says %d", len(lines), want)
	}
	return nil
}

// javaLines are the lines of a text as Java's BufferedReader reads them: they end with LF, CR, CR LF, or the text.
func javaLines(text string) []string {
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// javaFields splits a line at white space as Java's Pattern.split("\\s+") does: white space in front makes an empty first field.
func javaFields(line string) []string {
	white := func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }
	fields := strings.FieldsFunc(line, white)
	if line != "" && white(rune(line[0])) && len(fields) > 0 {
		fields = append([]string{""}, fields...)
	}
	return fields
}

// parseInt reads one of exactly n fields.
func parseInt(fields []string, n, i, bits int) (int64, error) {
	if len(fields) != n {
		return 0, fmt.Errorf("%d fields instead of %d", len(fields), n)
	}
	v, err := strconv.ParseInt(fields[i], 10, bits)
	if err != nil {
		return 0, fmt.Errorf("field %.20q: %w", fields[i], errBadNumber)
	}
	return v, nil
}

// maxOffsetFileBytes bounds an offset checkpoint: some hundred thousand partitions with the longest names.
const maxOffsetFileBytes = 128 << 20

// ReadOffsets reads an offset checkpoint file: topic, partition, offset. A missing file is an error that is fs.ErrNotExist.
func ReadOffsets(fs vfs.FS, path string) (map[metadata.TopicPartition]int64, error) {
	out := map[metadata.TopicPartition]int64{}
	_, err := readCheckpoint(fs, path, maxOffsetFileBytes, func(fields []string) error {
		p, err := parseInt(fields, 3, 1, 32)
		if err != nil {
			return err
		}
		o, err := parseInt(fields, 3, 2, 64)
		if err != nil {
			return err
		}
		out[metadata.TopicPartition{Topic: fields[0], Partition: int32(p)}] = o // the last of two counts
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
