package znode

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gokafka/coordination"
	"gokafka/metadata"
)

// The fixed paths, relative to the chroot.
const (
	ControllerPath               = "/controller"
	ControllerEpochPath          = "/controller_epoch"
	BrokerIDsPath                = "/brokers/ids"
	BrokerSeqIDPath              = "/brokers/seqid"
	TopicsPath                   = "/brokers/topics"
	ClusterIDPath                = "/cluster/id"
	ConfigPath                   = "/config"
	ConfigChangesPath            = "/config/changes"
	DeleteTopicsPath             = "/admin/delete_topics"
	ReassignPartitionsPath       = "/admin/reassign_partitions"
	PreferredElectionPath        = "/admin/preferred_replica_election"
	ISRChangePath                = "/isr_change_notification"
	LogDirEventPath              = "/log_dir_event_notification"
	ProducerIDBlockPath          = "/latest_producer_id_block"
	FeaturePath                  = "/feature"
	MigrationPath                = "/migration"
	ConsumersPath                = "/consumers"
	configChangePrefix           = "config_change_"
	isrChangePrefix              = "isr_change_"
	logDirEventPrefix            = "log_dir_event_"
	DefaultEntity                = "<default>" // the literal child name of default entities
	unknownVersion         int32 = -2
)

// Config entity types, the children of /config.
const (
	TopicEntity  = "topics"
	ClientEntity = "clients"
	UserEntity   = "users"
	BrokerEntity = "brokers"
	IPEntity     = "ips"
)

// BrokerPath is the registration of a broker.
func BrokerPath(id int32) string { return BrokerIDsPath + "/" + strconv.Itoa(int(id)) }

// TopicPath is a topic's assignment.
func TopicPath(topic string) string { return TopicsPath + "/" + topic }

// PartitionsPath is the parent of a topic's partitions.
func PartitionsPath(topic string) string { return TopicPath(topic) + "/partitions" }

// PartitionPath is the parent of a partition's state.
func PartitionPath(tp metadata.TopicPartition) string {
	return PartitionsPath(tp.Topic) + "/" + strconv.Itoa(int(tp.Partition))
}

// StatePath is a partition's leadership and ISR.
func StatePath(tp metadata.TopicPartition) string { return PartitionPath(tp) + "/state" }

// EntityPath is a config entity, such as ("users", "bob/clients/app1"). The name is as stored, that is sanitized.
func EntityPath(entityType, name string) string { return ConfigPath + "/" + entityType + "/" + name }

// DeleteTopicPath is the mark for deletion of a topic.
func DeleteTopicPath(topic string) string { return DeleteTopicsPath + "/" + topic }

// PersistentPaths are what every broker makes at start, in Apache's order (ZkData.PersistentZkPaths).
func PersistentPaths() []string {
	return []string{
		ConsumersPath, BrokerIDsPath, TopicsPath, ConfigChangesPath, DeleteTopicsPath, BrokerSeqIDPath,
		ISRChangePath, ProducerIDBlockPath, LogDirEventPath,
		ConfigPath + "/" + TopicEntity, ConfigPath + "/" + ClientEntity, ConfigPath + "/" + UserEntity,
		ConfigPath + "/" + BrokerEntity, ConfigPath + "/" + IPEntity,
	}
}

// CreatePersistentPaths makes PersistentPaths, with null data, where they are missing.
func CreatePersistentPaths(ctx context.Context, g *coordination.Generation) error {
	for _, p := range PersistentPaths() {
		if err := g.EnsurePath(ctx, p); err != nil {
			return fmt.Errorf("create persistent paths: %w", err)
		}
	}
	return nil
}

// SanitizeEntity encodes a user, client id or similar for use as a path element and in JMX names: URL encoding with
// "%20" for space and "%2A" for the asterisk (Kafka 3.9 Sanitizer).
func SanitizeEntity(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// DesanitizeEntity is the inverse.
func DesanitizeEntity(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '%':
			if i+2 >= len(s) {
				return "", fmt.Errorf("entity name %q ends within an escape", s)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("entity name %q has a bad escape", s)
			}
			b.WriteByte(byte(n))
			i += 2
		case '+':
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}
