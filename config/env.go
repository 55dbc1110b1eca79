package config

import "strings"

// notConfig are variables of the Apache image and of Kafka's scripts that begin with KAFKA_ and are no configs.
var notConfig = map[string]bool{
	"KAFKA_VERSION": true, "KAFKA_HEAP_OPTS": true, "KAFKA_LOG4J_OPTS": true, "KAFKA_OPTS": true,
	"KAFKA_JMX_OPTS": true, "KAFKA_JVM_PERFORMANCE_OPTS": true, "KAFKA_GC_LOG_OPTS": true,
	"KAFKA_LOG4J_ROOT_LOGLEVEL": true, "KAFKA_LOG4J_LOGGERS": true, "KAFKA_TOOLS_LOG4J_LOGLEVEL": true,
	"KAFKA_JMX_HOSTNAME": true,
	// The image leaves these to the scripts it calls.
	"KAFKA_JMX_PORT": true, "KAFKA_HOME": true, "KAFKA_DEBUG": true, "KAFKA_CLUSTER_ID": true,
	"KAFKA_JMX_ENABLED": true, "KAFKA_JMX_IP": true,
	// Names of secrets the image turns into the ssl.* configs.
	"KAFKA_SSL_KEYSTORE_FILENAME": true, "KAFKA_SSL_KEYSTORE_CREDENTIALS": true, "KAFKA_SSL_KEY_CREDENTIALS": true,
	"KAFKA_SSL_TRUSTSTORE_FILENAME": true, "KAFKA_SSL_TRUSTSTORE_CREDENTIALS": true,
}

// FromEnv are the configs among environment variables, each NAME=value: KAFKA_ and the name in upper case, with _ for a
// dot, __ for an underscore and ___ for a dash (Kafka 3.9 KafkaDockerWrapper).
func FromEnv(env []string) map[string]string {
	out := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		rest, ok := strings.CutPrefix(name, "KAFKA_")
		if !ok || rest == "" || notConfig[name] {
			continue
		}
		out[envKey(rest)] = value
	}
	return out
}

// envKey is the config of a variable without KAFKA_. A name with capitals, zookeeper.clientCnxnSocket, is found too.
func envKey(name string) string {
	key := strings.ReplaceAll(strings.ToLower(name), "_", ".")
	key = strings.ReplaceAll(key, "...", "-")
	key = strings.ReplaceAll(key, "..", "_")
	if strings.EqualFold(key, "zookeeper.clientCnxnSocket") {
		return "zookeeper.clientCnxnSocket"
	}
	return key
}

// deriveListeners does what the image does when only KAFKA_ADVERTISED_LISTENERS is set: it listens on every interface
// on the advertised ports. Listeners of the file stay.
func deriveListeners(file, env map[string]string) {
	advertised := env["advertised.listeners"]
	if advertised == "" || env["listeners"] != "" {
		return
	}
	if _, ok := file["listeners"]; ok {
		return
	}
	entries := csvList(advertised)
	for i, e := range entries {
		m := endpoint.FindStringSubmatch(e)
		switch {
		case m == nil: // the error will be about advertised.listeners
		case strings.Contains(m[2], ":"):
			entries[i] = m[1] + "://[::]:" + m[3]
		default:
			entries[i] = m[1] + "://0.0.0.0:" + m[3]
		}
	}
	env["listeners"] = strings.Join(entries, ",")
}
