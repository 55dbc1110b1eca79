package probe

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeLogDirs asks for partitions of a topic; nil stands for all topics.
func describeLogDirs(topic string, partitions ...int32) *kmsg.DescribeLogDirsRequest {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	if partitions != nil {
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}

func alterLogDirs(dir, topic string, partitions ...int32) *kmsg.AlterReplicaLogDirsRequest {
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir = dir
	t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	t.Topic, t.Partitions = topic, partitions
	d.Topics = append(d.Topics, t)
	req.Dirs = append(req.Dirs, d)
	return req
}

// dataDir is the broker's only log directory.
func (r *Run) dataDir() string {
	resp := r.Quiet(describeLogDirs(""), 4).(*kmsg.DescribeLogDirsResponse)
	if len(resp.Dirs) != 1 {
		r.fatalf("the broker has %d log directories", len(resp.Dirs))
	}
	return resp.Dirs[0].Dir
}

func logDirsCases() []Case {
	return group("logdirs",
		named("describe, every version", func(r *Run) {
			t := r.Topic("t", 3)
			r.appendAll(t, 9_000_401, 1, []seq{{0, 0, 3, ""}, {0, 3, 2, ""}})
			for v := range int16(5) {
				r.Do(fmt.Sprintf("v%d", v), describeLogDirs(t, 0, 1, 2), v)
			}
		}),
		named("describe, what does not exist", func(r *Run) {
			t := r.Topic("t", 1)
			r.Do("partition", describeLogDirs(t, 7), 4)
			r.Do("partition and one that does", describeLogDirs(t, 0, 7, -1), 4)
			r.Do("topic", describeLogDirs(r.Name("none"), 0), 4)
			r.Do("no name", describeLogDirs("", 0), 4)
			r.Do("named twice", describeLogDirs(t, 0, 0), 4)
			r.Do("no partitions", describeLogDirs(t, []int32{}...), 4)
			req := describeLogDirs("")
			req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
			r.Do("no topics", req, 4)
		}),
		named("alter", func(r *Run) {
			t := r.Topic("t", 2)
			dir := r.dataDir()
			for v := range int16(3) {
				r.Do(fmt.Sprintf("to where it is, v%d", v), alterLogDirs(dir, t, 0, 1), v)
			}
			r.Do("named twice", alterLogDirs(dir, t, 0, 0), 2)
			r.Do("no such directory", alterLogDirs(dir+"x", t, 0), 2)
			r.Do("no such directory, v0", alterLogDirs(dir+"x", t, 0), 0)
			r.Do("a slash too many", alterLogDirs(dir+"/", t, 0), 2)
			r.Do("relative", alterLogDirs("data", t, 0), 2)
			r.Do("empty", alterLogDirs("", t, 0), 2)
			r.Do("no such partition", alterLogDirs(dir, t, 7), 2)
			r.Do("no such topic", alterLogDirs(dir, r.Name("none"), 0), 2)
			r.Do("no such topic, no such directory", alterLogDirs(dir+"x", r.Name("none"), 0), 2)
			r.Do("negative partition", alterLogDirs(dir, t, -1), 2)
			r.Do("long name", alterLogDirs(dir, strings.Repeat("x", 249), 0), 2)
			r.Do("longest name", alterLogDirs(dir, strings.Repeat("x", 213), 0), 2)
			r.Do("one more", alterLogDirs(dir, strings.Repeat("x", 214), 0), 2)
			r.Do("no name", alterLogDirs(dir, "", 0), 2)
			r.Do("nothing", kmsg.NewPtrAlterReplicaLogDirsRequest(), 2)
			two := alterLogDirs(dir+"x", t, 0)
			two.Dirs = append(two.Dirs, alterLogDirs(dir, t, 0).Dirs...)
			r.Do("to two directories", two, 2)
		}),
	)
}
