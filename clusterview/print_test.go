package clusterview

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gokafka/internal/show"
)

func printed(t *testing.T, v show.View, f show.Format) string {
	t.Helper()
	var b strings.Builder
	if err := show.Print(&b, v, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

// Columns are as wide as what is in them, the last one is not filled, and what is empty is a dash.
func TestTables(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_700_000, time.FixedZone("", 3600))
	for _, c := range []struct {
		name string
		view show.View
		want string
	}{
		{"info", &Info{ClusterID: "abc", Controller: 2, ControllerAddr: "h:9092", Brokers: 2, BrokersDown: []int32{1, 7}, Topics: 3, Partitions: 40, UnderReplicated: 5, Offline: 6, UnderMinISR: 7}, lines(
			"cluster id        abc",
			"controller        2 (h:9092)",
			"brokers           2 (down: 1,7)",
			"topics            3",
			"partitions        40",
			"under-replicated  5",
			"offline           6",
			"below min ISR     7",
		)},
		{"info without a controller", &Info{Controller: -1, Brokers: 1}, lines(
			"cluster id        -", "controller        none", "brokers           1", "topics            0", "partitions        0",
			"under-replicated  0", "offline           0", "below min ISR     0",
		)},
		{"brokers", Brokers{
			{ID: 0, Live: true, Host: "a.example", Port: 9092, Rack: "räck", Leaders: 10, Replicas: 12, Controller: true},
			{ID: 11, Live: true, Host: "::1", Port: 9093, Replicas: 1},
			{ID: 200, Replicas: 3},
		}, lines(
			"ID   STATE       ENDPOINT        RACK  LEADERS  REPLICAS",
			"0    controller  a.example:9092  räck  10       12",
			"11   live        [::1]:9093      -     0        1",
			"200  down        -               -     0        3",
		)},
		{"partitions", Partitions{
			{Topic: "t", Partition: 0, Leader: 1, LeaderEpoch: 5, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 3}, OfflineReplicas: []int32{2}},
			{Topic: "topic-with-a-name", Partition: 100, Leader: -1, LeaderEpoch: 12},
		}, lines(
			"TOPIC              PARTITION  LEADER  EPOCH  REPLICAS  ISR  OFFLINE",
			"t                  0          1       5      1,2,3     1,3  2",
			"topic-with-a-name  100        none    12     -         -    -",
		)},
		{"no partitions", Partitions{}, lines("TOPIC  PARTITION  LEADER  EPOCH  REPLICAS  ISR  OFFLINE")},
		{"controller", &Controller{ID: 1, Address: "h:1", Rack: "r"}, lines("controller  1", "address     h:1", "rack        r")},
		{"journal", &Controller{ID: 1, Address: "h:1", Journal: &Journal{
			ControllerState: ControllerState{BrokerID: 1, Active: true, ControllerEpoch: 9, ControllerID: 1}, Total: 30,
			Decisions: []Decision{
				{Time: at, ControllerEpoch: 9, Partition: &PartitionDecision{Topic: "t", Partition: 3, PreviousLeader: 1, Leader: 2, LeaderEpoch: 4, ISR: []int32{2, 3}}, Why: "OfflinePartition"},
				{Time: at, ControllerEpoch: 9, Partition: &PartitionDecision{Topic: "t", Partition: 3, PreviousLeader: 2, Leader: 2, LeaderEpoch: 4, ISR: []int32{2}}, Why: "ISR change by the leader"},
				{Time: at, ControllerEpoch: 9, Partition: &PartitionDecision{Topic: "t", Partition: 3, PreviousLeader: -1, Leader: 2}, Why: "x"},
				{Time: at, ControllerEpoch: 9, Why: "elected as controller"},
			},
		}}, lines(
			"controller  1", "address     h:1", "rack        -", "epoch       9", "journal     of broker 1, 4 of 30 decisions", "",
			"TIME                      CONTROLLER EPOCH  PARTITION  LEADER    EPOCH  ISR  WHY",
			"2026-01-02T02:04:05.006Z  9                 t-3        1 > 2     4      2,3  OfflinePartition",
			"2026-01-02T02:04:05.006Z  9                 t-3        2         4      2    ISR change by the leader",
			"2026-01-02T02:04:05.006Z  9                 t-3        none > 2  0      -    x",
			"2026-01-02T02:04:05.006Z  9                 -          -         -      -    elected as controller",
		)},
	} {
		if got := printed(t, c.view, show.AsTable); got != c.want {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.want)
		}
	}
}

// What another machine says cannot move the cursor of a terminal.
func TestTablesAreTextOnly(t *testing.T) {
	got := printed(t, Brokers{{ID: 1, Live: true, Host: "h\x1b[2J\n\u202e", Rack: "\xff\t"}}, show.AsTable)
	if strings.ContainsAny(got, "\x1b\t\u202e") || !utf8.ValidString(got) || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	if s := show.Line("a\n b\x1b[0m"); s != "a b\uFFFD[0m" {
		t.Errorf("%q", s)
	}
}

func TestJSON(t *testing.T) {
	if got := printed(t, Partitions{}, show.AsJSON); got != "[]\n" {
		t.Errorf("%q", got)
	}
	want := `[
  {
    "topic": "t",
    "partition": 0,
    "leader": -1,
    "leaderEpoch": 5,
    "replicas": [
      1
    ],
    "isr": [],
    "offlineReplicas": []
  }
]
`
	if got := printed(t, Partitions{{Topic: "t", Leader: -1, LeaderEpoch: 5, Replicas: []int32{1}, ISR: []int32{}, OfflineReplicas: []int32{}}}, show.AsJSON); got != want {
		t.Errorf("%s", got)
	}
	if _, err := show.ParseFormat("yaml"); err == nil {
		t.Error("a format that there is not")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestPrintReportsWriteErrors(t *testing.T) {
	for _, f := range []show.Format{show.AsTable, show.AsJSON} {
		if err := show.Print(broken{}, Brokers{{ID: 1}}, f); err == nil {
			t.Errorf("%s: no error", f)
		}
	}
}
