package samefiles

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// seedVar repeats a run.
const seedVar = "GOKAFKA_SAMEFILES_SEED"

// TestSameFiles gives both brokers the same requests and compares their directories after clean stops, after SIGKILL, and
// after the recovery from that.
func TestSameFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	ctx := context.Background()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv(seedVar); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedVar, seed)
	p, err := newPair(ctx, t.TempDir(), quiet())
	skips.Need(t, err)
	t.Cleanup(func() { _ = p.close() })
	s := newSeries(p, seed)
	for _, st := range []stage{
		{name: "first", do: s.first, clean: true},
		{name: "killed", do: s.again},
		{name: "recovered, with retention", props: busy(), do: s.awaitRetention, clean: true},
		{name: "after recovery", do: s.again, clean: true},
	} {
		skips.Need(t, st.run(ctx, p))
		for _, d := range p.differ {
			t.Errorf("%s: %s", st.name, d)
		}
		p.differ = nil
		c, err := compare(p.sides[0].dir, p.sides[1].dir, st.clean)
		skips.Need(t, err)
		t.Logf("%s: %d bytes the same in %v; left out %v", st.name, c.Bytes, c.Same, c.LeftOut)
		if c.Bytes < 100_000 || c.Same[".log"] < 30 {
			t.Errorf("%s: too little was compared", st.name)
		}
		for i, d := range c.Differences {
			if i == maxReported {
				t.Errorf("and %d more", len(c.Differences)-i)
				break
			}
			t.Errorf("%s: %s", st.name, d)
		}
	}
	if t.Failed() {
		for _, s := range p.sides {
			t.Logf("--- end of broker log %s", s.LogTail())
		}
	}
}

// maxReported bounds a stage's report; one fault often shows in many files.
const maxReported = 20

// quiet keeps periodic work away: what it writes would depend on the moment.
func quiet() map[string]string {
	return map[string]string{
		"log.retention.ms":                              "-1",
		"log.initial.task.delay.ms":                     "3600000",
		"log.cleaner.dedupe.buffer.size":                "4194304",
		"replica.high.watermark.checkpoint.interval.ms": "3600000",
	}
}

// busy lets retention run, and removes at once what is deleted.
func busy() map[string]string {
	return map[string]string{"log.initial.task.delay.ms": "500", "log.retention.check.interval.ms": "500", "log.segment.delete.delay.ms": "200"}
}

// stage is one life of both brokers, and how it ends.
type stage struct {
	name  string
	props map[string]string // other than the quiet ones
	do    func() error
	clean bool
}

func (st *stage) run(ctx context.Context, p *pair) error {
	for _, s := range p.sides {
		for k, v := range busy() { // back to what they were
			if v = quiet()[k]; v == "" {
				v = "60000"
			}
			s.Set(k, v)
		}
		for k, v := range st.props {
			s.Set(k, v)
		}
	}
	if err := p.elect(); err != nil {
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	if err := st.do(); err != nil {
		return err
	}
	return p.end(ctx, st.clean)
}

func (s *series) first() error {
	if err := s.createTopics(); err != nil {
		return err
	}
	return s.write()
}

// again changes topics and writes more. What comes first makes both brokers write checkpoints, which must not depend on how far
// their flushes in the background are: before it nothing was written.
func (s *series) again() error {
	if s.serve(kmsg.DeleteRecords) {
		if err := s.deleteRecords("shortened", 0, 40); err != nil {
			return err
		}
	}
	if s.written == 1 { // once is enough, and two deleted directories of one name could not be told apart
		if err := s.replace("doomed"); err != nil {
			return err
		}
	}
	if n := s.topics["grown"]; n < 4 {
		if err := s.grow("grown", n+1); err != nil {
			return err
		}
		if err := s.fill("grown", n, 3, 100); err != nil {
			return err
		}
	}
	return s.write()
}

// replace deletes a topic and makes another of its name.
func (s *series) replace(topic string) error {
	if err := s.fill(topic, 1, 3, 100); err != nil {
		return err
	}
	if err := s.delete(topic); err != nil {
		return err
	}
	if err := s.create(topic, 1); err != nil {
		return err
	}
	return s.fill(topic, 0, 3, 100)
}
