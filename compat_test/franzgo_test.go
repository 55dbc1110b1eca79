package compat_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gokafka/compat_test/harness"
)

// franzTests are franz-go's own tests against a broker that need neither groups nor transactions.
var franzTests = []string{
	"TestPing", "TestIssue1034", "TestIssue325", "TestConsumeTopicRetrieval", "TestConsumeTopicRetrieval_Many",
	"TestIssue337", "TestDirectPartitionPurge", "TestIssue434", "TestAddRemovePartitions",
	"TestPauseIssue489", "TestPauseIssueOct2023", "TestIssue648", "TestIssue810", "TestIssue865",
	"TestIssueFetchLargerThanBrokerMaxReadBytes", "TestPooling", "TestHookPollStart", "TestConsumeMaxDecompressBatchBytes",
	"TestClient_Produce", "TestClient_ProduceLargeMessages", "TestIssue769", "TestIssue831",
	"TestIssueProduceSyncManualPartitionNegativeDoesNotPanic", "TestIssueProduceBrokerTooOldFailsRecords",
}

// franzGroupTests also need the topic that comes with the group coordinator; they run once JoinGroup is served.
var franzGroupTests = []string{"TestTxnEtl", "TestConsumeRegex", "TestGroupETL", "TestGroupSimple", "TestUnknownGroupOffsetFetchPinned", "Test848RegexBrokerResolves"}

// franzSkips are those of them that skip on a broker of the 3.9 kind. A missing API is a skip there, not a failure, so
// any other skip fails here.
var franzSkips = []string{"TestIssueProduceBrokerTooOldFailsRecords"} // "broker still takes produce v2"

// TestFranzGoSuite runs franz-go's own tests, from the module cache, against the broker.
func TestFranzGoSuite(t *testing.T) {
	target := heavy(t)
	src, err := harness.SourceDir()
	skips.Need(t, err)
	download := exec.Command("go", "mod", "download")
	download.Dir = filepath.Join(src, "kgosuite")
	if out, err := download.CombinedOutput(); err != nil {
		skips.Need(t, &harness.Unavailable{What: "the Go module proxy: " + string(out), Err: err})
	}
	b := skips.Started(t, target, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	names := slices.Clone(franzTests)
	if serves(t, b.Addr(), 11) {
		names = append(names, franzGroupTests...)
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=220s", "-run", "^("+strings.Join(names, "|")+")$",
		"github.com/twmb/franz-go/pkg/kgo")
	cmd.Dir = download.Dir
	cmd.Env = append(os.Environ(), "KGO_SEEDS="+b.Addr(), "KGO_TEST_RF=1", "KGO_TEST_RECORDS=5000", "KGO_TEST_MAX_TOPIC_PARTS=12")
	out, err := cmd.Output()
	results, output := goTestResults(out, !serves(t, b.Addr(), 68))
	for _, name := range names {
		switch r := results[name]; {
		case r == "pass":
		case r == "skip" && slices.Contains(franzSkips, name):
		default:
			t.Errorf("%s: %q\n%s", name, r, output[name])
		}
	}
	t.Logf("%d tests of franz-go, %d results", len(names), len(results))
	var exit *exec.ExitError
	if errors.As(err, &exit) && !t.Failed() {
		t.Errorf("go test: %v\n%s", err, exit.Stderr)
	}
}

// goTestResults reads the output of go test -json: the verdict and the end of the output of each top-level test. With
// classicOnly the subtests of KIP-848's groups may skip: they need ConsumerGroupHeartbeat.
func goTestResults(out []byte, classicOnly bool) (results, output map[string]string) {
	results, output = map[string]string{}, map[string]string{}
	s := bufio.NewScanner(strings.NewReader(string(out)))
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(s.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		top, _, _ := strings.Cut(e.Test, "/")
		switch e.Action {
		case "output":
			text := output[top] + e.Output
			output[top] = text[max(0, len(text)-4096):]
		case "pass", "fail", "skip":
			if e.Action == "skip" && classicOnly && slices.Contains(strings.Split(e.Test, "/"), "848") {
				continue
			}
			// A subtest that skips or fails decides: the pass of its parent does not hide it.
			if e.Action != "pass" || e.Test == top && results[top] == "" {
				results[top] = e.Action
			}
		}
	}
	return results, output
}
