package config

import (
	"github.com/twmb/franz-go/pkg/kerr"
)

// Error is a config that Kafka refuses. Its text is Kafka's own and goes to the client as it is; it unwraps to the kerr
// value the request is answered with.
type Error struct {
	Message string
	// Plain tells Kafka's ConfigException and IllegalArgumentException from its InvalidConfigurationException:
	// AlterConfigs puts "Invalid config value for resource R: " before the text of the former only.
	Plain bool
	// Code is the error code of the answer: kerr.InvalidConfig, or kerr.InvalidRequest for dynamic broker configs.
	Code error
}

// Error is the text for the client.
func (e *Error) Error() string { return e.Message }

// Unwrap is the kerr value.
func (e *Error) Unwrap() error { return e.Code }

// invalid is ConfigException(name, value, message).
func invalid(name string, v any, why string) error {
	return configError("Invalid value " + printed(v) + " for configuration " + name + ": " + why)
}

// configError is ConfigException(message).
func configError(message string) error {
	return &Error{Message: message, Plain: true, Code: kerr.InvalidConfig}
}

// invalidConfiguration is InvalidConfigurationException(message).
func invalidConfiguration(message string) error {
	return &Error{Message: message, Code: kerr.InvalidConfig}
}
