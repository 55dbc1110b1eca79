package topics

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gokafka/metadata"
)

// TestAssignAsApache compares with what Apache's own code gave for the same brokers, racks and start.
func TestAssignAsApache(t *testing.T) {
	f, err := os.Open("testdata/assignments.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		in, want, ok := strings.Cut(line, " | ")
		if !ok {
			t.Fatalf("no answer in %q", line)
		}
		if got := assignLine(t, in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
		n++
	}
	if n < 500 {
		t.Errorf("only %d cases", n)
	}
}

func assignLine(t *testing.T, in string) string {
	w := strings.Fields(in)
	num := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var brokers []metadata.Broker
	for s := range strings.SplitSeq(w[0], ",") {
		id, rack, _ := strings.Cut(s, ":")
		brokers = append(brokers, metadata.Broker{ID: int32(num(id)), Rack: rack})
	}
	start := Start{Index: num(w[3]), Fixed: true, Partition: int32(max(0, num(w[4])))}
	got, err := Assign(brokers, int32(num(w[1])), int32(num(w[2])), start, nil)
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	var out []string
	for i, r := range got {
		out = append(out, fmt.Sprintf("%d=%s", int(start.Partition)+i, joinIDs(r, ",")))
	}
	return strings.Join(out, " ")
}

// Whatever the start, replicas are distinct and leaders even; with racks they are as spread as there are racks.
func TestAssignProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "brokers")
		racks := rapid.IntRange(0, 4).Draw(t, "racks")
		var brokers []metadata.Broker
		names := map[string]bool{}
		rackOf := map[int32]string{}
		for i := range n {
			b := metadata.Broker{ID: int32(i * 3)}
			if racks > 0 {
				b.Rack = fmt.Sprintf("r%d", rapid.IntRange(1, racks).Draw(t, "rack"))
				names[b.Rack] = true
				rackOf[b.ID] = b.Rack
			}
			brokers = append(brokers, b)
		}
		rf := rapid.IntRange(1, n).Draw(t, "rf")
		parts := rapid.IntRange(1, 40).Draw(t, "partitions")
		got, err := Assign(brokers, int32(parts), int32(rf), Start{}, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "random") })
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]int{}
		for p, r := range got {
			leaders[r[0]]++
			if len(r) != rf || hasDuplicates(r) {
				t.Fatalf("partition %d: %v", p, r)
			}
			seen := map[string]bool{}
			for _, id := range r {
				seen[rackOf[id]] = true
			}
			if racks > 0 && len(seen) != min(rf, len(names)) {
				t.Fatalf("partition %d: %v is on %d racks of %d", p, r, len(seen), len(names))
			}
		}
		lo := parts / n
		for id, c := range leaders {
			if c < lo || c > lo+1 {
				t.Fatalf("broker %d leads %d of %d partitions on %d brokers", id, c, parts, n)
			}
		}
		if !slices.IsSortedFunc(brokers, func(a, b metadata.Broker) int { return int(a.ID - b.ID) }) {
			t.Fatal("the caller's list was reordered")
		}
	})
}
