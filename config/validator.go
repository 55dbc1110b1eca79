package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Validator checks a parsed value. Its errors are *ValueError with the text of Kafka's ConfigDef.
type Validator interface {
	// Check returns nil if v, parsed by Key.Parse, is a valid value of name. v is nil for null.
	Check(name string, v any) error
	// String describes the valid values as Kafka's documentation does.
	String() string
}

// span is ConfigDef.Range. Kafka compares as doubles, so this does.
type span struct {
	min, max float64
	bounded  bool // max counts
}

func atLeast(lo float64) Validator     { return span{min: lo} }
func between(lo, hi float64) Validator { return span{lo, hi, true} }

func (r span) Check(name string, v any) error {
	n, ok := asDouble(v)
	if !ok {
		return invalid(name, v, "Value must be non-null")
	}
	if n < r.min {
		return invalid(name, v, "Value must be at least "+number(r.min))
	}
	if r.bounded && n > r.max {
		return invalid(name, v, "Value must be no more than "+number(r.max))
	}
	return nil
}

func (r span) String() string {
	if r.bounded {
		return "[" + number(r.min) + ",...," + number(r.max) + "]"
	}
	return "[" + number(r.min) + ",...]"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// asDouble is v as the double Kafka compares; false for null.
func asDouble(v any) (float64, bool) {
	switch n := v.(type) {
	case int16:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// choice is ConfigDef.ValidString, ValidList (each element) and CaseInsensitiveValidString.
type choice struct {
	values []string
	list   bool
	fold   bool
}

func oneOf(values ...string) Validator     { return choice{values: values} }
func listOf(values ...string) Validator    { return choice{values: values, list: true} }
func oneOfFold(values ...string) Validator { return choice{values: values, fold: true} }

func (c choice) Check(name string, v any) error {
	if !c.list {
		s, ok := v.(string)
		if !ok || !c.has(s) {
			return c.fail(name, v)
		}
		return nil
	}
	list, _ := v.([]string)
	for _, s := range list {
		if !c.has(s) {
			return c.fail(name, s)
		}
	}
	return nil
}

func (c choice) has(s string) bool {
	for _, x := range c.values {
		if x == s || c.fold && strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}

func (c choice) fail(name string, v any) error {
	if c.fold {
		return invalid(name, v, "String must be one of (case insensitive): "+strings.Join(c.values, ", "))
	}
	return invalid(name, v, "String must be one of: "+strings.Join(c.values, ", "))
}

func (c choice) String() string {
	s := "[" + strings.Join(c.values, ", ") + "]"
	if c.fold {
		return "(case insensitive) " + s
	}
	return s
}

// gzipLevel is CompressionType.GZIP.levelValidator: 1 to 9, or -1 for the default of zlib.
type gzipLevel struct{}

func (gzipLevel) Check(name string, v any) error {
	n, ok := v.(int32)
	if !ok {
		return invalid(name, v, "Value must be non-null")
	}
	if n > 9 || n < 1 && n != -1 {
		return invalid(name, v, "Value must be between 1 and 9 or equal to -1")
	}
	return nil
}

func (gzipLevel) String() string { return "[1,...,9] or -1" }

// threadPoolSize is the check of the two pools of RemoteLogManagerConfig that fall back to a third.
type threadPoolSize struct{}

func (threadPoolSize) Check(name string, v any) error {
	if n, ok := v.(int32); !ok || n < -1 || n == 0 {
		return invalid(name, v, "Value can be -1 or greater than 0")
	}
	return nil
}

func (threadPoolSize) String() string { return "-1 or [1,...]" }

// nonEmpty is ConfigDef.NonEmptyString: null is fine.
type nonEmpty struct{}

func (nonEmpty) Check(name string, v any) error {
	if s, ok := v.(string); ok && s == "" {
		return invalid(name, v, "String must be non-empty")
	}
	return nil
}

func (nonEmpty) String() string { return "non-empty string" }

// nonNull is ConfigDef.NonNullValidator.
type nonNull struct{}

func (nonNull) Check(name string, v any) error {
	if v == nil {
		return invalid(name, "null", "entry must be non null")
	}
	return nil
}

func (nonNull) String() string { return "non-null string" }

// throttledReplicas is ThrottledReplicaListValidator: "*", or partition:broker pairs, empty ones included.
type throttledReplicas struct{}

func (throttledReplicas) Check(name string, v any) error {
	list, _ := v.([]string)
	pairs := true
	for _, s := range list {
		pairs = pairs && replicaPair(javaTrim(s))
	}
	if pairs || javaTrim(strings.Join(list, "")) == "*" {
		return nil
	}
	return invalid(name, v, name+" must be the literal '*' or a list of replicas in the following format: "+
		"[partitionId]:[brokerId],[partitionId]:[brokerId],...")
}

func (throttledReplicas) String() string {
	return "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

// replicaPair is ([0-9]+:[0-9]+)?
func replicaPair(s string) bool {
	if s == "" {
		return true
	}
	partition, broker, ok := strings.Cut(s, ":")
	return ok && digits(partition) && digits(broker)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// quorumVoters is QuorumConfig.ControllerQuorumVotersValidator: id@host:port.
type quorumVoters struct{}

func (quorumVoters) Check(name string, v any) error {
	list, _ := v.([]string)
	for _, entry := range list {
		if _, err := parseVoter(entry); err != nil {
			return err
		}
	}
	return nil
}

func (quorumVoters) String() string { return "non-empty list" }

// parseVoter returns the id of one entry of controller.quorum.voters.
func parseVoter(entry string) (int32, error) {
	const form = "Each entry should be in the form `{id}@{host}:{port}`."
	// Java's split drops trailing empty parts, hence "1@" has one part.
	parts := strings.Split(strings.TrimRight(entry, "@"), "@")
	if len(parts) != 2 {
		return 0, configError("Invalid configuration value for controller.quorum.voters. " + form)
	}
	id, err := parseInt(parts[0], 32)
	if err != nil {
		return 0, configError("Failed to parse voter ID as an integer from " + parts[0])
	}
	if err := checkHostPort(parts[1], "entry "+entry, "controller.quorum.voters", ". "+form); err != nil {
		return 0, err
	}
	return int32(id), nil
}

// quorumServers is QuorumConfig.ControllerQuorumBootstrapServersValidator: host:port.
type quorumServers struct{}

func (quorumServers) Check(name string, v any) error {
	list, _ := v.([]string)
	for _, entry := range list {
		err := checkHostPort(entry, entry, "controller.quorum.bootstrap.servers",
			`. Each entry should be in the form "{host}:{port}"`)
		if err != nil {
			return err
		}
	}
	return nil
}

func (quorumServers) String() string { return "non-empty list" }

func checkHostPort(s, what, key, form string) error {
	m := hostPort.FindStringSubmatch(s)
	if m == nil {
		return configError(fmt.Sprintf("Failed to parse host name from %s for the configuration %s%s", what, key, form))
	}
	if _, err := parseInt(m[2], 32); err != nil {
		return configError(fmt.Sprintf("Failed to parse host port from %s for the configuration %s%s", what, key, form))
	}
	return nil
}
