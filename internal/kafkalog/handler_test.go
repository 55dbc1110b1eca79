package kafkalog

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"gokafka/internal/clock"
)

func TestLines(t *testing.T) {
	var b strings.Builder
	l := slog.New(New(&b, clock.New(), slog.LevelInfo))
	l.With(PrefixKey, "[KafkaServer id=0] ", LoggerKey, "kafka.server.KafkaServer").Info("started")
	l.Debug("not shown")
	l.With("topic", "t").WithGroup("g").Error("broken", "partition", 3, "error", errors.New("no space\nleft"))
	want := regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO \[KafkaServer id=0\] started \(kafka\.server\.KafkaServer\)
\[[^]]+\] ERROR broken topic=t g\.partition=3 g\.error="no space\\nleft"
$`)
	if !want.MatchString(b.String()) {
		t.Errorf("%q", b.String())
	}
}
