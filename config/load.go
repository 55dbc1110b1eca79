package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// Input is where the static config of a broker comes from, the weakest level first.
type Input struct {
	// Base are properties that everything else overrides, such as those of the dev broker.
	Base map[string]string
	// File is the path of a server.properties, or empty.
	File string
	// Env is os.Environ(), or nil. See FromEnv.
	Env []string
	// Overrides are the arguments of --override, each key=value; a key alone has an empty value.
	Overrides []string
}

// Load makes the Broker of in. Its warnings are one line each, about keys that are set and have no effect. Its error is
// one line that names key, value and reason.
func Load(in Input) (*Broker, []string, error) {
	props := maps.Clone(in.Base)
	if props == nil {
		props = map[string]string{}
	}
	var file map[string]string
	if in.File != "" {
		var err error
		if file, err = readFile(in.File); err != nil {
			return nil, nil, err
		}
	}
	env := FromEnv(in.Env)
	overrides, err := parseOverrides(in.Overrides)
	if err != nil {
		return nil, nil, err
	}
	deriveListeners(file, env)
	maps.Copy(props, file)
	maps.Copy(props, env)
	maps.Copy(props, overrides)
	return fromProperties(props, in.Base)
}

// fromProperties makes the Broker of props. There are no warnings of what base says: nobody who reads them wrote it.
func fromProperties(props, base map[string]string) (*Broker, []string, error) {
	b, err := NewBroker(props)
	if err != nil {
		return nil, nil, oneLine(err)
	}
	if err := b.refused(b.static); err != nil {
		return nil, nil, oneLine(err)
	}
	told := maps.Clone(props)
	maps.DeleteFunc(told, func(k, v string) bool { return base[k] == v })
	return b, warnings(told), nil
}

// oneLine keeps a value with a line break from breaking the promise of Load.
func oneLine(err error) error {
	return errors.New(strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error()))
}

// maxFileBytes bounds a properties file. PEM keys inline need some; nobody needs this much.
const maxFileBytes = 16 << 20

func readFile(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("config file %s does not exist", path)
		}
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("config file %s is a directory", path)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("config file %s has %d bytes, more than %d", path, info.Size(), maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	props, err := ParseProperties(data)
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	return props, nil
}

func parseOverrides(args []string) (map[string]string, error) {
	out := make(map[string]string, len(args))
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		if javaTrim(key) == "" {
			return nil, fmt.Errorf("--override %q has no key; it is --override key=value", a)
		}
		out[javaTrim(key)] = value
	}
	return out, nil
}

// Apache's replica selector is built in. Other classes would have to be loaded.
const (
	selectorKey       = "replica.selector.class"
	rackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
)

// refused is the error for the first of props, in the alphabet, that would be dangerous to ignore, and for listeners
// that ask for security. A value that is the default is fine.
func (b *Broker) refused(props map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(props)) {
		status, known := StatusOf(name)
		if !known || status.Effect != Refused || isDefault(name, props[name]) {
			continue
		}
		value := props[name]
		if brokerType(name) == TypePassword {
			value = "[hidden]"
		}
		return invalid(name, value, status.Why)
	}
	if class := javaTrim(props[selectorKey]); class != "" && class != rackAwareSelector {
		return b.wrong(selectorKey, "Java classes cannot be loaded; "+rackAwareSelector+" is built in")
	}
	for _, l := range b.Listeners {
		if l.Protocol != "PLAINTEXT" {
			return b.wrong("listeners", "listener "+l.Name+" has the security protocol "+l.Protocol+
				"; TLS and SASL are not supported yet")
		}
	}
	return nil
}

// isDefault says whether a config has the value it would have anyway.
func isDefault(name, value string) bool {
	k := BrokerKey(name)
	if base, ok := listenerBase(name); ok {
		k = BrokerKey(base)
	}
	if k == nil {
		return false
	}
	v, err := parseType(name, value, k.Type)
	if err != nil {
		return false
	}
	got, set := Format(v)
	want, wantSet := Format(k.defaultValue())
	if _, isVersion := k.Valid.(protocolVersion); isVersion {
		got, _ = resolveVersion(got) // 3.9 is 3.9-IV0
	}
	return set == wantSet && got == want
}

// warnings are the keys of props that have no effect, each with the reason.
func warnings(props map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(props)) {
		status, known := StatusOf(name)
		switch {
		case !known:
			out = append(out, "unknown config "+name+" is ignored")
		case status.Effect == NoEffect && !isDefault(name, props[name]):
			out = append(out, "config "+name+" has no effect: "+status.Why)
		}
	}
	return out
}
