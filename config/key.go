package config

// Type is the type of a config value. The numbers are those of config_type in DescribeConfigs v3.
type Type int8

// The types of Kafka's ConfigDef; TypeUnknown is for keys outside the table.
const (
	TypeUnknown Type = iota
	TypeBoolean
	TypeString
	TypeInt
	TypeShort
	TypeLong
	TypeDouble
	TypeList
	TypeClass
	TypePassword
)

var typeNames = [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is the name Kafka gives the type, as in "Not a number of type LONG".
func (t Type) String() string {
	if t < 0 || int(t) >= len(typeNames) {
		return typeNames[0]
	}
	return typeNames[t]
}

// Scope says where a broker config may be changed while the broker runs (Kafka 3.9 DynamicBrokerConfig).
type Scope int8

// The scopes, named as in Kafka's documentation.
const (
	// ReadOnly configs need a restart.
	ReadOnly Scope = iota
	// PerBroker configs may be changed for one broker only.
	PerBroker
	// ClusterWide configs may be changed for the whole cluster or for one broker.
	ClusterWide
)

// String is the scope as Kafka's documentation writes it.
func (s Scope) String() string {
	switch s {
	case PerBroker:
		return "per-broker"
	case ClusterWide:
		return "cluster-wide"
	default:
		return "read-only"
	}
}

// Importance is how much Kafka's documentation thinks of a key.
type Importance int8

// The levels of importance.
const (
	Low Importance = iota
	Medium
	High
)

// Key is one row of the table. Rows are never changed.
type Key struct {
	Name string
	Type Type
	// Default is the default as Kafka prints it, see Format. It means nothing when Unset.
	Default string
	// Unset says that the default is null.
	Unset bool
	// Valid is the check of parsed values; nil accepts all of the type.
	Valid      Validator
	Importance Importance
	// Internal keys are not described, unless they are set.
	Internal bool
	// Dynamic is the scope of a broker config. It means nothing for topic configs, all of which can be changed.
	Dynamic Scope
	// Status is what gokafka does with the key.
	Status Status
	// Doc is one sentence for DescribeConfigs and docs/config.md.
	Doc string

	// synonyms are the broker configs a topic config falls back to, the strongest first
	// (Kafka 3.9 ServerTopicConfigSynonyms).
	synonyms []Synonym
}

// Sensitive says whether values must not be shown.
func (k *Key) Sensitive() bool { return k.Type == TypePassword }

// Synonyms are the broker configs that a topic config falls back to, the strongest first.
func (k *Key) Synonyms() []Synonym { return append([]Synonym(nil), k.synonyms...) }

// Synonym is a broker config that stands in for a topic config.
type Synonym struct {
	Name string
	// Millis is the factor from the unit of the broker config to that of the topic config: 1, minute or hour.
	Millis int64
}

// Units of log.*.minutes and log.*.hours in milliseconds.
const (
	minute int64 = 60 * 1000
	hour   int64 = 60 * minute
)

// same is a broker config of the same unit.
func same(name string) []Synonym { return []Synonym{{name, 1}} }

// Effect is what setting a key does in gokafka.
type Effect int8

// The effects.
const (
	// Used keys do what Kafka's documentation says.
	Used Effect = iota
	// NoEffect keys are accepted and do nothing; Load warns about them when they differ from the default.
	NoEffect
	// Refused keys would be dangerous to ignore: a value other than the default stops the start.
	Refused
)

// Status is the effect of a key, and why it is not Used.
type Status struct {
	Effect Effect
	Why    string
}

// String is the status as docs/config.md shows it.
func (s Status) String() string {
	switch s.Effect {
	case NoEffect:
		return "accepted, no effect: " + s.Why
	case Refused:
		return "refused: " + s.Why
	default:
		return "used"
	}
}

func noEffect(why string) Status { return Status{NoEffect, why} }
func refused(why string) Status  { return Status{Refused, why} }

// The statuses that many rows share.
var (
	used      = Status{}
	notYet    = noEffect("not served yet")
	noThreads = noEffect("gokafka schedules by goroutines")
	noKRaft   = noEffect("it belongs to KRaft")
	noTiered  = noEffect("tiered storage is not supported")
	noTLS     = refused("TLS is not supported yet")
	noSASL    = refused("SASL is not supported yet")
	noClass   = refused("Java classes cannot be loaded")
)
