package config

import (
	"slices"
	"strings"
)

// Source says where the value of a config comes from. The numbers are those of config_source in DescribeConfigs.
type Source int8

// The sources, the strongest first.
const (
	SourceTopic          Source = 1
	SourceDynamicBroker  Source = 2
	SourceDynamicDefault Source = 3
	SourceStaticBroker   Source = 4
	SourceDefault        Source = 5
)

// Entry is one config of a DescribeConfigs answer.
type Entry struct {
	Name string
	// Value is nil for null and for sensitive values.
	Value     *string
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Type      Type
	// Synonyms are the places the value may come from, the strongest first.
	Synonyms []EntrySynonym
	// Doc is empty for a name outside of the table, which Kafka answers as null.
	Doc string
}

// IsDefault is is_default of DescribeConfigs v0.
func (e Entry) IsDefault() bool { return e.Source == SourceDefault }

// EntrySynonym is one place a value may come from.
type EntrySynonym struct {
	Name   string
	Value  *string
	Source Source
}

// DescribeTopic are the configs of a topic with these overrides, by name (Kafka 3.9 ConfigHelper). The error, an
// *Error, is about overrides that do not parse.
func (b *Broker) DescribeTopic(overrides map[string]string) ([]Entry, error) {
	v, err := topicTable.parseOver(b.topicValues(), overrides)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(topicTable.keys)+1)
	for i := range topicTable.keys {
		k := &topicTable.keys[i]
		out = append(out, b.topicEntry(k.Name, k, ptr(Format(v[k.Name])), overrides))
	}
	for name := range overrides {
		if TopicKey(name) == nil {
			out = append(out, b.topicEntry(name, &Key{Name: name}, nil, overrides))
		}
	}
	return sortEntries(out), nil
}

func (b *Broker) topicEntry(name string, k *Key, value *string, overrides map[string]string) Entry {
	e := Entry{Name: name, Type: k.Type, Sensitive: maybeSensitive(k.Type), Value: value, Doc: k.Doc}
	if e.Sensitive {
		e.Value = nil
	}
	if _, ok := overrides[name]; ok {
		e.Synonyms = []EntrySynonym{{name, e.Value, SourceTopic}}
	}
	if len(k.synonyms) > 0 {
		base := k.synonyms[0].Name
		e.Synonyms = append(e.Synonyms, b.configSynonyms(base, e.Sensitive)...)
	}
	e.Source = firstSource(e.Synonyms)
	return e
}

// Describe are the configs of this broker, by name: all of the table, and what else is set.
func (b *Broker) Describe() []Entry {
	out := make([]Entry, 0, len(brokerTable.keys)+len(b.props))
	for i := range brokerTable.keys {
		k := &brokerTable.keys[i]
		if !k.Internal {
			out = append(out, b.brokerEntry(k.Name, ptr(Format(b.values[k.Name])), b.configSynonyms))
		}
	}
	for name, raw := range b.props {
		if k := BrokerKey(name); k == nil || k.Internal {
			out = append(out, b.brokerEntry(name, &raw, b.configSynonyms))
		}
	}
	return sortEntries(out)
}

// DescribeDefault are the dynamic configs of the cluster, which DescribeConfigs gives for the broker with the empty name.
func (b *Broker) DescribeDefault() []Entry {
	out := make([]Entry, 0, len(b.cluster))
	for name, raw := range b.cluster {
		out = append(out, b.brokerEntry(name, &raw, func(name string, sensitive bool) []EntrySynonym {
			return slices.DeleteFunc(b.configSynonyms(name, sensitive), func(s EntrySynonym) bool {
				return s.Source != SourceDynamicDefault
			})
		}))
	}
	return sortEntries(out)
}

func (b *Broker) brokerEntry(name string, value *string, synonyms func(string, bool) []EntrySynonym) Entry {
	e := Entry{Name: name, Value: value, Type: brokerType(name), ReadOnly: true}
	e.Sensitive = maybeSensitive(e.Type)
	if e.Sensitive {
		e.Value = nil
	}
	if k := BrokerKey(name); k != nil {
		e.ReadOnly, e.Doc = k.Dynamic == ReadOnly, k.Doc
	}
	e.Synonyms = synonyms(name, e.Sensitive)
	e.Source = firstSource(e.Synonyms)
	return e
}

// configSynonyms is ConfigHelper.configSynonyms: where the names that may set name are set, level by level. What is
// stronger than the first place of name itself is dropped, with which Kafka loses all of them if name is set nowhere.
func (b *Broker) configSynonyms(name string, sensitive bool) []EntrySynonym {
	names := brokerSynonyms(name, true)
	var out []EntrySynonym
	add := func(source Source, get func(string) (string, bool)) {
		for _, n := range names {
			raw, ok := get(n)
			if !ok {
				continue
			}
			s := EntrySynonym{Name: n, Source: source}
			if !sensitive {
				s.Value = &raw
			}
			out = append(out, s)
		}
	}
	add(SourceDynamicBroker, lookup(b.own))
	add(SourceDynamicDefault, lookup(b.cluster))
	add(SourceStaticBroker, lookup(b.static))
	add(SourceDefault, func(n string) (string, bool) { return Format(brokerTable.defaults[n]) })
	i := slices.IndexFunc(out, func(s EntrySynonym) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return out[i:]
}

func lookup(m map[string]string) func(string) (string, bool) {
	return func(n string) (string, bool) {
		v, ok := m[n]
		return v, ok
	}
}

// maybeSensitive is KafkaConfig.maybeSensitive: a value of unknown type is not shown.
func maybeSensitive(t Type) bool { return t == TypeUnknown || t == TypePassword }

func firstSource(synonyms []EntrySynonym) Source {
	if len(synonyms) == 0 {
		return SourceDefault
	}
	return synonyms[0].Source
}

func sortEntries(in []Entry) []Entry {
	slices.SortFunc(in, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return in
}

func ptr(s string, ok bool) *string {
	if !ok {
		return nil
	}
	return &s
}
