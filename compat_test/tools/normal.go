package tools

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

var masks = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+ +\(\d\) +`), "ADDR (ID) "}, // a coordinator
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDR"},
	{regexp.MustCompile(`(17[1-9]|1[89]\d)\d{10}`), "TIME"},                               // of now, unlike those in the script's records
	{regexp.MustCompile(`(TIME\s+|1700000000000\t)(\d{7}|\d{1,6} {15,20}\t)`), "${1}AGE"}, // of a transaction, in minutes or in a column of ms
	{regexp.MustCompile(`TopicId: [\w-]{22}`), "TopicId: ID"},
	{regexp.MustCompile(`/[^\s",=]*/\d/(data|d\d)`), "DIR/$1"}, // a broker's log directory
	{regexp.MustCompile(`/[^\s",]*\.json`), "FILE.json"},
}

// normal leaves out what may differ from run to run: addresses, ids, paths; and puts the answers of brokers in one order where Java's is that of a hash
// map of paths. Nothing else.
func normal(line string) string {
	for _, m := range masks {
		line = m.re.ReplaceAllString(line, m.by)
	}
	var dirs struct{ Version, Brokers any }
	if rest, ok := strings.CutPrefix(line, ">{"); ok && json.Unmarshal([]byte("{"+rest), &dirs) == nil && dirs.Brokers != nil {
		fields := strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune("{}[]", r) })
		slices.Sort(fields)
		return ">" + strings.Join(fields, " ")
	}
	return line
}
