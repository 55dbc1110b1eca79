package txnversion2

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

var record = flag.String("record", "", "address of an Apache 4.1 broker whose answers are recorded")

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

const golden = "testdata/kafka-4.1.1.txt"

func TestAsApache(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	addr := *record
	if addr == "" {
		addr = skips.Started(t, harness.Gokafka, harness.Options{}).Addr()
	}
	c, err := wire.Dial(context.Background(), addr)
	skips.Need(t, err)
	t.Cleanup(func() { _ = c.Close() })
	s := &script{t: t, c: c, id: fmt.Sprint("script-", time.Now().UnixNano()), names: map[int64]string{}}
	if *record == "" {
		q := kmsg.NewPtrUpdateFeaturesRequest()
		q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "transaction.version", MaxVersionLevel: 2, UpgradeType: 1}}
		if r := s.ask(q, 1).(*kmsg.UpdateFeaturesResponse); r.ErrorCode != 0 || r.Results[0].ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(r.ErrorCode), kerr.ErrorForCode(r.Results[0].ErrorCode))
		}
	}
	s.run()
	text := strings.Join(s.lines, "\n") + "\n"
	if *record != "" {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range s.lines {
		if i >= len(lines) || lines[i] != line {
			t.Errorf("line %d is\n%s\nApache's is\n%s", i, line, lines[i])
		}
	}
	if len(lines) != len(s.lines)+1 {
		t.Errorf("%d lines, Apache's are %d", len(s.lines), len(lines)-1)
	}
}
