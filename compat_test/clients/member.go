package clients

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"gokafka/compat_test/history"
)

// Member is a Job in mode member, whose output is read while it runs.
type Member struct {
	*Job
	// Events are what it has printed so far.
	Events []history.GroupEvent
	// Ended says that it left in order.
	Ended bool

	read int64
}

// StartMember runs the client as a member of a group.
func (c Client) StartMember(dir string, args map[string]string) (*Member, error) {
	args["mode"] = "member"
	j, err := c.Start(dir, args)
	if err != nil {
		return nil, err
	}
	return &Member{Job: j}, nil
}

// Read takes in what was printed since.
func (m *Member) Read() error {
	f, err := os.Open(m.OutPath)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(m.read, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			return nil // the rest of the line is still to come
		}
		text = rest
		m.read += int64(len(line)) + 1
		if err := m.line(strings.TrimSpace(string(line))); err != nil {
			return fmt.Errorf("%s printed %.120q: %w", m.Process.Name, line, err)
		}
	}
}

func (m *Member) line(text string) error {
	kind, rest, _ := strings.Cut(text, " ")
	if kind == "end" {
		m.Ended = true
		return nil
	}
	n, err := numbers(strings.Fields(rest))
	if err != nil {
		return err
	}
	e := history.GroupEvent{Kind: history.GroupEventKind(kind)}
	switch {
	case (e.Kind == history.Own || e.Kind == history.Lose) && len(n) == 2:
		e.Millis, e.Partition = n[0], int32(n[1])
	case (e.Kind == history.Did || e.Kind == history.Commit) && len(n) == 3:
		e.Millis, e.Partition, e.Offset = n[0], int32(n[1]), n[2]
	default:
		return fmt.Errorf("unknown kind %q with %d numbers", kind, len(n))
	}
	m.Events = append(m.Events, e)
	return nil
}
