package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/harness"
)

// atRest checks the directories that a broker left: identity, leader epochs, checkpoints, and all files by Apache's tool.
func (r *run) atRest(ctx context.Context, by harness.Target, clean bool) error {
	found := map[string]datadir.Dir{}
	for _, d := range r.dirs {
		if err := r.dirAtRest(d, found, clean); err != nil {
			return err
		}
		f, err := d.Dump(ctx, r.mayHaveGaps, r.open(d, by, clean))
		if err != nil {
			return err
		}
		for _, p := range f.Problems {
			return fmt.Errorf("%s: %s (%d problems)", d, p, len(f.Problems))
		}
		r.files += f.Logs + f.Indexes + f.Snapshots
	}
	for _, p := range r.parts {
		d, ok := found[p.String()]
		if !ok {
			return fmt.Errorf("no directory of %s", p)
		}
		if err := r.partitionAtRest(d, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) mayHaveGaps(name string) bool {
	return strings.HasPrefix(name, "__") || slices.ContainsFunc(r.parts, func(p *partition) bool { return p.compacted && p.String() == name })
}

func (r *run) dirAtRest(d datadir.Dir, found map[string]datadir.Dir, clean bool) error {
	meta, err := d.Meta()
	if err != nil {
		return err
	}
	if r.cluster == "" {
		r.cluster = meta["cluster.id"]
	}
	if meta["cluster.id"] != r.cluster || meta["broker.id"] != "0" || meta["version"] != "0" || len(meta) != 3 {
		return fmt.Errorf("%s: meta.properties says %v, the cluster is %s", d, meta, r.cluster)
	}
	names, err := d.Partitions()
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, n := range names {
		if strings.HasSuffix(n, "-delete") {
			continue
		}
		if other, twice := found[n]; twice {
			return fmt.Errorf("%s is in %s and in %s", n, other, d)
		}
		found[n], mine[n] = d, true
	}
	if was, err := d.Clean(); err != nil || was != clean {
		return fmt.Errorf("%s: marker of a clean shutdown %v, error %v; want %v", d, was, err, clean)
	}
	return r.checkpointsAtRest(d, mine, clean)
}

// checkpointsAtRest: never beyond what is true, and after a clean stop exactly that.
func (r *run) checkpointsAtRest(d datadir.Dir, mine map[string]bool, clean bool) error {
	recovery, err := d.Offsets(datadir.RecoveryPoints)
	if err != nil {
		return err
	}
	high, err := d.Offsets(datadir.HighWatermarks)
	if err != nil {
		return err
	}
	starts, err := d.Offsets(datadir.LogStarts)
	if err != nil {
		return err
	}
	for _, p := range r.parts {
		n := p.String()
		if !mine[n] {
			continue
		}
		end := p.end
		if p.pending != nil {
			end += int64(p.pending.n)
		}
		if recovery[n] > end || high[n] > end || starts[n] > p.start {
			return fmt.Errorf("%s: recovery point %d, high watermark %d, log start %d of a log from %d to %d", n, recovery[n], high[n], starts[n], p.start, end)
		}
		if !clean {
			continue
		}
		if recovery[n] != end || high[n] != end || starts[n] != p.start && starts[n] != 0 {
			return fmt.Errorf("%s after a clean stop: recovery point %d, high watermark %d, log start %d of a log from %d to %d", n, recovery[n], high[n], starts[n], p.start, end)
		}
		p.oldStart = p.start
	}
	return nil
}

func (r *run) partitionAtRest(d datadir.Dir, p *partition) error {
	id, err := d.TopicID(p.String())
	if err != nil {
		return err
	}
	want := r.ids[p.name]
	if id != base64.RawURLEncoding.EncodeToString(want[:]) {
		return fmt.Errorf("%s: topic id %q on disk, %x by metadata", p, id, want)
	}
	epochs, err := d.Epochs(p.String())
	if err != nil {
		return err
	}
	// A moved log start reaches the file late, and a lost one stays there: what counts is above both.
	from := p.start
	if len(epochs) > 0 && p.deletes {
		from = max(from, epochs[0].Start, p.epochs[0].Start)
	}
	if want := beginAt(p.epochs, from); !slices.Equal(beginAt(epochs, from), want) {
		return fmt.Errorf("%s: leader epochs %v on disk, want %v from %d on", p, epochs, want, from)
	}
	return nil
}

// open leaves out what a killed broker may leave in any state, since its successor makes it anew: the indexes of the
// segment that was growing, which an Apache broker fills with zeros ahead, and that segment itself if it was preallocated;
// the snapshot taken at its start, which may be half written; what waits for deletion, which may be half gone.
func (r *run) open(d datadir.Dir, by harness.Target, clean bool) func(string) bool {
	files, _ := d.Files() // an error shows in Dump
	last := map[string]string{}
	for _, f := range files {
		if path.Ext(f) == ".log" {
			last[path.Dir(f)] = strings.TrimSuffix(f, ".log") // names ascend
		}
	}
	return func(f string) bool {
		dir := path.Dir(f)
		switch {
		case strings.HasSuffix(dir, "-delete"):
			return true
		case clean || !strings.HasPrefix(f, last[dir]+"."):
			return false
		case path.Ext(f) == ".snapshot": // killed in the middle of a roll
			return true
		case by == harness.Apache && (path.Ext(f) == ".index" || path.Ext(f) == ".timeindex"):
			return true
		}
		return path.Ext(f) == ".log" && strings.HasPrefix(dir, "preallocated-")
	}
}
