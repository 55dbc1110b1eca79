package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// FuzzProperties: what is read, written with every character escaped, is read the same.
func FuzzProperties(f *testing.F) {
	for _, s := range []string{stock, "a=b\\\r\n  c\n", "a=\\u00e9", "\\\n#a=1\n", "a=\\", "=\x00\xff", "a\\ b : c\\"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ParseProperties(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		var b strings.Builder
		for k, v := range props {
			b.WriteString(escaped(k) + "=" + escaped(v) + "\n")
		}
		again, err := ParseProperties([]byte(b.String()))
		if err != nil || !maps.Equal(props, again) {
			t.Errorf("%q became %q, %v", props, again, err)
		}
	})
}

func escaped(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	return b.String()
}

// FuzzValue: what a key accepts, printed, is accepted again as the same value.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", " 1 ", "-2", "1e400", "NaN", "0x1p3f", "true", "a , b", "0:1,*", "1@[::1]:9093", "4.9E-324", "1d",
		"3.9.", "\x00", "١"} {
		f.Add(s)
	}
	keys := append(BrokerKeys(), TopicKeys()...)
	f.Fuzz(func(t *testing.T, raw string) {
		for i := range keys {
			k := &keys[i]
			v, err := k.Parse(raw)
			if err != nil {
				continue
			}
			text, ok := Format(v)
			if !ok {
				t.Fatalf("%s=%q is null", k.Name, raw)
			}
			again, err := k.Parse(text)
			if d, isDouble := v.(float64); isDouble && math.IsNaN(d) {
				continue
			}
			if got, _ := Format(again); err != nil || got != text {
				t.Errorf("%s=%q prints %q, which gives %q, %v", k.Name, raw, text, got, err)
			}
		}
	})
}

// FuzzListeners: listeners that are accepted are fit to be opened, and print as what they were.
func FuzzListeners(f *testing.F) {
	for _, s := range []string{"PLAINTEXT://:9092", "PLAINTEXT://[::1]:9092,SSL://127.0.0.1:9092", "a://b:-1", "://", ",", "PLAINTEXT://::1:2",
		"PLAINTEXT://[a:99999"} {
		f.Add(s)
	}
	protocols := map[string]string{"PLAINTEXT": "PLAINTEXT", "SSL": "SSL"}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseListeners("listeners", s, protocols, true)
		if err != nil {
			return
		}
		for _, l := range got {
			if l.Port < 0 || l.Port > math.MaxUint16 || protocols[l.Name] == "" {
				t.Errorf("%q gives %+v", s, l)
			}
			again, err := parseListeners("listeners", l.String(), protocols, true)
			if err != nil || !slices.Equal(again, []Listener{l}) {
				t.Errorf("%q prints %q, which gives %v, %v", s, l, again, err)
			}
		}
	})
}

// FuzzBroker: no properties break the promise of one line, or what is derived from a Broker.
func FuzzBroker(f *testing.F) {
	f.Add(stock, "log.retention.ms=5", "cleanup.policy=compact")
	f.Add("listeners=A://h:1\nlistener.security.protocol.map=A:PLAINTEXT", "listener.name.a.max.connections=x", "x=y")
	f.Add("process.roles=broker,controller\nnode.id=1", "log.cleaner.threads=0", "segment.ms=-1")
	f.Fuzz(func(t *testing.T, file, dynamic, topic string) {
		static, err := ParseProperties([]byte(file))
		if err != nil {
			return
		}
		b, _, err := fromProperties(static, nil)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		props, err := ParseProperties([]byte(dynamic))
		if err != nil {
			return
		}
		if err := b.ValidateDynamic(props, true); err == nil {
			valid, dropped := FilterDynamic(props, true)
			if b, err = b.WithDynamic(nil, valid); err != nil || len(dropped) > 0 {
				t.Fatalf("validated %q, then got %v, %q", props, err, dropped)
			}
		}
		overrides, err := ParseProperties([]byte(topic))
		if err != nil {
			return
		}
		valid := b.ValidateTopic(overrides) == nil
		if _, err := ParseTopic(overrides, b); valid && err != nil {
			t.Errorf("validated %q, then got %v", overrides, err)
		}
		if _, err := b.DescribeTopic(overrides); valid && err != nil {
			t.Errorf("validated %q, then got %v", overrides, err)
		}
		if len(b.Describe()) < 314 {
			t.Errorf("describes %d configs", len(b.Describe()))
		}
	})
}
