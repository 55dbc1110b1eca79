package tools

import (
	"context"

	"gokafka/compat_test/cluster"
)

// The tools' classes.
const (
	topicTool    = "org.apache.kafka.tools.TopicCommand"
	electTool    = "org.apache.kafka.tools.LeaderElectionCommand"
	reassignTool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
	configTool   = "kafka.admin.ConfigCommand"
	logDirsTool  = "org.apache.kafka.tools.LogDirsCommand"
	groupTool    = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
)

// Step is one run of a tool.
type Step struct {
	Tool string
	// Args are separated by blanks; $FILE is a file with the content of File, $DIR1 the directory of broker 1's data.
	Args string
	File string
	// Until repeats the run until the output has this text; only the last run counts.
	Until string
	// Do is done in place of running a tool.
	Do func(ctx context.Context, c *cluster.Cluster) error
}

// Chapter is steps that stand on each other.
type Chapter struct {
	Name  string
	Steps []Step
}

func topics(args string) Step { return Step{Tool: topicTool, Args: args} }

func topicsUntil(until, args string) Step { return Step{Tool: topicTool, Args: args, Until: until} }

func configs(args string) Step { return Step{Tool: configTool, Args: args} }

func configsUntil(until, args string) Step { return Step{Tool: configTool, Args: args, Until: until} }

func reassign(file, args string) Step { return Step{Tool: reassignTool, Args: args, File: file} }

func reassignUntil(until, file, args string) Step {
	return Step{Tool: reassignTool, Args: args, File: file, Until: until}
}

// Chapters are the script, for three brokers with two log directories each.
func Chapters() []Chapter {
	return []Chapter{topicChapter(), configChapter(), brokerConfigChapter(), reassignChapter(), electChapter(), dirChapter(), groupChapter(), transactionChapter()}
}

func topicChapter() Chapter {
	return Chapter{"topics", []Step{
		topics("--list"),
		topics("--create --topic a --replica-assignment 0:1:2,1:2:0,2:0:1"),
		topicsUntil("Isr: 2,0,1", "--describe --topic a"),
		topics("--create --topic a --replica-assignment 0:1:2"),
		topics("--create --topic a --if-not-exists"),
		topics("--create --topic b --partitions 2 --replication-factor 1 --config retention.ms=1000 --config cleanup.policy=compact"),
		topics("--create --topic none --partitions 0"),
		topics("--create --topic none --partitions 1 --replication-factor 4"),
		topics("--create --topic none --replication-factor 0"),
		topics("--create --topic none --config no.such=1"),
		topics("--create --topic none --config retention.ms=soon"),
		topics("--create --topic bad!name"),
		topics("--create --topic a.b --replica-assignment 1"),
		topics("--create --topic a_b --replica-assignment 1"),
		topics("--create --topic none --replica-assignment 0:0"),
		topics("--create --topic none --replica-assignment 0,1:2"),
		topics("--create --topic none --replica-assignment 7"),
		topics("--create --topic none --replica-assignment 0 --partitions 1"),
		topics("--create"),
		topics("--list"),
		topics("--list --topic a.*"),
		topics("--list --exclude-internal"),
		topics("--describe --topic a.*"),
		topics("--describe --topic nothing"),
		topics("--describe --topic nothing --if-exists"),
		topics("--describe --topics-with-overrides"),
		topics("--describe --under-replicated-partitions"),
		topics("--describe --unavailable-partitions"),
		topics("--describe --under-min-isr-partitions"),
		topics("--describe --at-min-isr-partitions --topic a"),
		topics("--alter --topic a --partitions 4 --replica-assignment 0:1:2,1:2:0,2:0:1,1:0:2"),
		topicsUntil("Isr: 1,0,2", "--describe --topic a"),
		topics("--alter --topic a --partitions 4"),
		topics("--alter --topic a --partitions 2"),
		topics("--alter --topic nothing --partitions 2"),
		topics("--alter --topic nothing --partitions 2 --if-exists"),
		topics("--delete --topic b"),
		topics("--delete --topic b"),
		topics("--delete --topic b --if-exists"),
		topics("--delete --topic a.*"),
		topicsUntil("exit 0", "--list"),
		topics("--nonsense"),
	}}
}

func configChapter() Chapter {
	const t = "--entity-type topics --entity-name c "
	return Chapter{"configs of topics", []Step{
		topics("--create --topic c --replica-assignment 0:1:2"),
		configs("--describe " + t),
		configs("--alter " + t + "--add-config retention.ms=5000,cleanup.policy=[compact,delete]"),
		configsUntil("retention.ms=5000", "--describe "+t),
		configs("--describe --topic c"),
		configs("--describe --all " + t),
		configs("--alter " + t + "--delete-config retention.ms --add-config flush.ms=77"),
		configsUntil("flush.ms=77", "--describe "+t),
		configs("--alter " + t + "--delete-config no.such"),
		configs("--alter " + t + "--add-config no.such=1"),
		configs("--alter " + t + "--add-config retention.ms=soon"),
		configs("--alter " + t + "--add-config nonsense"),
		configs("--alter --entity-type topics --entity-name nothing --add-config flush.ms=1"),
		configs("--describe --entity-type topics --entity-name nothing"),
		configs("--alter " + t),
		configs("--describe --entity-type topics"),
		configs("--alter --entity-type topics --add-config flush.ms=1"),
		configs("--alter " + t + "--add-config leader.replication.throttled.replicas=0:1,follower.replication.throttled.replicas=*"),
		configsUntil("leader.replication.throttled.replicas=0:1", "--describe "+t),
		topicsUntil("flush.ms=77", "--describe --topic c"),
	}}
}

func brokerConfigChapter() Chapter {
	return Chapter{"configs of brokers", []Step{
		configs("--describe --entity-type brokers --entity-name 0"),
		configs("--describe --entity-type brokers --entity-default"),
		configs("--describe --entity-type brokers"),
		configs("--alter --entity-type brokers --entity-name 0 --add-config log.retention.ms=600000"),
		configsUntil("log.retention.ms=600000", "--describe --entity-type brokers --entity-name 0"),
		configs("--alter --entity-type brokers --entity-default --add-config log.retention.ms=700000,num.io.threads=9"),
		configsUntil("num.io.threads=9", "--describe --entity-type brokers --entity-default"),
		configsUntil("700000", "--describe --entity-type brokers --entity-name 0"),
		configs("--alter --entity-type brokers --entity-name 0 --add-config broker.id=5"),
		configs("--alter --entity-type brokers --entity-name 0 --add-config num.io.threads=0"),
		configs("--alter --entity-type brokers --entity-name 0 --add-config num.io.threads=100"),
		configs("--alter --entity-type brokers --entity-name 0 --delete-config log.retention.bytes"),
		configs("--alter --entity-type brokers --entity-name 0 --add-config leader.replication.throttled.rate=1000,follower.replication.throttled.rate=2000"),
		configsUntil("throttled.rate=1000", "--describe --entity-type brokers --entity-name 0"),
		configs("--alter --entity-type brokers --entity-name 0 --delete-config log.retention.ms,leader.replication.throttled.rate,follower.replication.throttled.rate"),
		configs("--alter --entity-type brokers --entity-default --delete-config log.retention.ms,num.io.threads"),
		configsUntil("are:", "--describe --entity-type brokers --entity-default"),
		configs("--describe --entity-type nonsense --entity-name x"),
		configs("--describe --all --entity-type brokers --entity-name 0"),
	}}
}

func reassignChapter() Chapter {
	const (
		to   = `{"version":1,"partitions":[{"topic":"r","partition":0,"replicas":[2,1]},{"topic":"r","partition":1,"replicas":[0,1,2]}]}`
		back = `{"version":1,"partitions":[{"topic":"r","partition":0,"replicas":[0,1]},{"topic":"r","partition":1,"replicas":[1,2]}]}`
	)
	one := func(s string) string { return `{"version":1,"partitions":[` + s + `]}` }
	return Chapter{"reassignments", []Step{
		topics("--create --topic r --replica-assignment 0:1,1:2"),
		topicsUntil("Isr: 1,2", "--describe --topic r"),
		reassign(`{"version":1,"topics":[{"topic":"r"}]}`, "--generate --topics-to-move-json-file $FILE --broker-list 0"),
		reassign(`{"version":1,"topics":[{"topic":"nothing"}]}`, "--generate --topics-to-move-json-file $FILE --broker-list 0"),
		reassign(`{"version":1,"topics":[{"topic":"r"}]}`, "--generate --topics-to-move-json-file $FILE --broker-list 0,0"),
		reassign(to, "--verify --reassignment-json-file $FILE"),
		reassign(to, "--execute --reassignment-json-file $FILE --throttle 100000000"),
		reassignUntil("Clearing topic-level throttles", to, "--verify --reassignment-json-file $FILE"),
		reassign("", "--list"),
		topics("--describe --topic r"),
		configs("--describe --entity-type brokers --entity-name 2"),
		reassign(back, "--execute --reassignment-json-file $FILE"),
		reassignUntil("r-0 is completed.\n>Reassignment of partition r-1 is completed", back, "--verify --reassignment-json-file $FILE --preserve-throttles"),
		reassign(back, "--cancel --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":0,"replicas":[7]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":9,"replicas":[1]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"nothing","partition":0,"replicas":[1]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":0,"replicas":[1,1]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":0,"replicas":[]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":0,"replicas":[0,1]},{"topic":"r","partition":0,"replicas":[1]}`), "--execute --reassignment-json-file $FILE"),
		reassign(one(`{"topic":"r","partition":0,"replicas":[0,1],"log_dirs":["any"]}`), "--execute --reassignment-json-file $FILE"),
		reassign(`{"version":2}`, "--execute --reassignment-json-file $FILE"),
		reassign(`{`, "--verify --reassignment-json-file $FILE"),
		reassign("", "--execute"),
		reassign("", "--nonsense"),
	}}
}

func groupChapter() Chapter {
	g := func(args string) Step { return Step{Tool: groupTool, Args: args} }
	reset := func(args string) Step { return g("--reset-offsets --group g --topic gt " + args) }
	return Chapter{"groups", []Step{
		topics("--create --topic gt --replica-assignment 0,1"),
		topicsUntil("Leader: 1", "--describe --topic gt"),
		{Tool: groupTool, Args: "--list", Until: "exit 0"},
		g("--describe --group nothing"),
		g("--delete --group nothing"),
		reset("--to-earliest --dry-run"),
		reset("--to-earliest --execute"),
		g("--list"),
		g("--list --state"),
		g("--list --state Stable"),
		g("--list --type classic"),
		g("--describe --group g"),
		g("--describe --group g --members"),
		g("--describe --group g --members --verbose"),
		g("--describe --group g --state"),
		g("--describe --group g --offsets --verbose"),
		g("--describe --all-groups"),
		reset("--to-latest --execute"),
		reset("--to-offset 5 --execute"),
		reset("--shift-by 1"),
		reset("--shift-by -1 --execute"),
		reset("--to-current --export"),
		reset("--by-duration PT1H"),
		reset("--to-datetime 2020-01-01T00:00:00.000 --execute"),
		g("--reset-offsets --group g --all-topics --to-earliest"),
		g("--reset-offsets --group g --topic nothing --to-earliest"),
		g("--reset-offsets --group g --to-earliest"),
		g("--delete-offsets --group g --topic gt:1"),
		g("--delete-offsets --group g --topic nothing"),
		g("--describe --group g"),
		g("--delete --group g"),
		g("--list"),
		g("--delete --group g"),
		g("--describe"),
		g("--nonsense"),
	}}
}

func electChapter() Chapter {
	const parts = `{"partitions":[{"topic":"e","partition":0},{"topic":"e","partition":1}]}`
	return Chapter{"elections", []Step{
		topics("--create --topic e --replica-assignment 0:1:2,1:2:0"),
		topicsUntil("Isr: 1,2,0", "--describe --topic e"),
		{Tool: electTool, Args: "--election-type preferred --topic e --partition 0"},
		reassign(`{"version":1,"partitions":[{"topic":"e","partition":0,"replicas":[1,0,2]}]}`, "--execute --reassignment-json-file $FILE"),
		topicsUntil("Replicas: 1,0,2", "--describe --topic e"),
		{Tool: electTool, Args: "--election-type preferred --path-to-json-file $FILE", File: parts},
		topics("--describe --topic e"),
		{Tool: electTool, Args: "--election-type unclean --topic e --partition 0"},
		{Tool: electTool, Args: "--election-type preferred --topic e --partition 9"},
		{Tool: electTool, Args: "--election-type preferred --topic nothing --partition 0"},
		{Tool: electTool, Args: "--election-type preferred --all-topic-partitions"},
		{Tool: electTool, Args: "--election-type nonsense --all-topic-partitions"},
		{Tool: electTool, Args: "--election-type preferred"},
		{Tool: electTool, Args: "--election-type preferred --topic e"},
		{Tool: electTool, Args: "--election-type preferred --path-to-json-file $FILE", File: `{"partitions":[]}`},
		{Tool: electTool, Args: "--election-type preferred --path-to-json-file $FILE", File: `{"partitions":[{"topic":"e","partition":0},{"topic":"e","partition":0}]}`},
		{Tool: electTool, Args: "--election-type preferred --path-to-json-file $FILE", File: `{`},
	}}
}

func dirChapter() Chapter {
	move := func(dir string) string {
		return `{"version":1,"partitions":[{"topic":"d","partition":0,"replicas":[1,2],"log_dirs":["` + dir + `","any"]}]}`
	}
	dirs := func(args string) Step { return Step{Tool: logDirsTool, Args: args} }
	return Chapter{"log directories", []Step{
		topics("--create --topic d --replica-assignment 1:2"),
		topicsUntil("Isr: 1,2", "--describe --topic d"),
		{Tool: reassignTool, Args: "--execute --reassignment-json-file $FILE", File: move("$DIR1/d0")},
		{Tool: reassignTool, Args: "--verify --reassignment-json-file $FILE", File: move("$DIR1/d0"), Until: "completed successfully"},
		dirs("--describe --topic-list d"),
		{Tool: reassignTool, Args: "--execute --reassignment-json-file $FILE --replica-alter-log-dirs-throttle 100000000", File: move("$DIR1/d1")},
		{Tool: reassignTool, Args: "--verify --reassignment-json-file $FILE", File: move("$DIR1/d1"), Until: "completed successfully"},
		dirs("--describe --topic-list d --broker-list 1"),
		dirs("--describe --topic-list nothing"),
		dirs("--describe --topic-list d --broker-list 7"),
		{Tool: reassignTool, Args: "--execute --reassignment-json-file $FILE", File: move("/nowhere")},
		{Tool: reassignTool, Args: "--verify --reassignment-json-file $FILE", File: move("/nowhere")},
		dirs("--describe"),
		dirs("--topic-list d"),
	}}
}
