package datadir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Dir is one log directory.
type Dir string

// Names of the files in a log directory and in a partition's.
const (
	RecoveryPoints = "recovery-point-offset-checkpoint"
	HighWatermarks = "replication-offset-checkpoint"
	LogStarts      = "log-start-offset-checkpoint"
	CleanerOffsets = "cleaner-offset-checkpoint"
	CleanShutdown  = ".kafka_cleanshutdown"
	MetaProperties = "meta.properties"
	Epochs         = "leader-epoch-checkpoint"
	TopicID        = "partition.metadata"
)

// Path is the path of something in the directory.
func (d Dir) Path(names ...string) string {
	return filepath.Join(append([]string{string(d)}, names...)...)
}

// Partitions are the names of the partitions' directories, also of those that wait for their removal.
func (d Dir) Partitions() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Clean says whether the marker of a clean shutdown is there.
func (d Dir) Clean() (bool, error) {
	_, err := os.Stat(d.Path(CleanShutdown))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Offsets reads an offset checkpoint; the keys are <topic>-<partition>. A missing or empty file has none.
func (d Dir) Offsets(name string) (map[string]int64, error) {
	rows, err := checkpoint(d.Path(name), 3)
	out := map[string]int64{}
	for _, r := range rows {
		o, perr := strconv.ParseInt(r[2], 10, 64)
		if perr != nil {
			return nil, fmt.Errorf("%s: %w", d.Path(name), perr)
		}
		if _, twice := out[r[0]+"-"+r[1]]; twice {
			return nil, fmt.Errorf("%s: %s-%s twice", d.Path(name), r[0], r[1])
		}
		out[r[0]+"-"+r[1]] = o
	}
	return out, err
}

// Epoch is one line of a leader epoch file.
type Epoch struct {
	Epoch int32
	Start int64
}

// Epochs reads a partition's leader epochs.
func (d Dir) Epochs(partition string) ([]Epoch, error) {
	rows, err := checkpoint(d.Path(partition, Epochs), 2)
	var out []Epoch
	for _, r := range rows {
		e, err1 := strconv.ParseInt(r[0], 10, 32)
		s, err2 := strconv.ParseInt(r[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path(partition, Epochs), err)
		}
		out = append(out, Epoch{int32(e), s})
	}
	return out, err
}

// checkpoint reads the lines of a checkpoint file, each of the given number of words.
func checkpoint(path string, words int) ([][]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 3 || lines[0] != "0" || lines[len(lines)-1] != "" || lines[1] != strconv.Itoa(len(lines)-3) {
		return nil, fmt.Errorf("%s is not a checkpoint file: %q", path, b)
	}
	var out [][]string
	for _, l := range lines[2 : len(lines)-1] {
		f := strings.Split(l, " ")
		if len(f) != words {
			return nil, fmt.Errorf("%s: line %q has not %d words", path, l, words)
		}
		out = append(out, f)
	}
	return out, nil
}

// TopicID is the text of the id in a partition's partition.metadata; empty if there is no such file.
func (d Dir) TopicID(partition string) (string, error) {
	b, err := os.ReadFile(d.Path(partition, TopicID))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(string(b), "version: 0\ntopic_id: ")
	if !ok || len(id) != 22 {
		return "", fmt.Errorf("%s: %q", d.Path(partition, TopicID), b)
	}
	return id, nil
}

// Meta reads meta.properties.
func (d Dir) Meta() (map[string]string, error) {
	b, err := os.ReadFile(d.Path(MetaProperties))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		if k, v, ok := strings.Cut(sc.Text(), "="); ok && !strings.HasPrefix(k, "#") {
			out[k] = v
		}
	}
	return out, nil
}

// Files are the names, in order, of all files below the directory, relative to it.
func (d Dir) Files() ([]string, error) {
	var out []string
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(string(d), path)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	slices.Sort(out)
	return out, err
}
