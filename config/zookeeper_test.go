package config

import (
	"slices"
	"testing"
)

func TestParseConnect(t *testing.T) {
	for _, c := range []struct {
		in      string
		servers []string
		chroot  string
	}{
		{"localhost", []string{"localhost:2181"}, ""},
		{"a:1,b:2 , c", []string{"a:1", "b:2", "c:2181"}, ""},
		{"a:1,b:2/kafka/x", []string{"a:1", "b:2"}, "/kafka/x"},
		{"a:1/", []string{"a:1"}, ""},
		{"[::1]:5,[fe80::1],::1", []string{"[::1]:5", "[fe80::1]:2181", "[::1]:2181"}, ""},
		{"", nil, ""}, {",", nil, ""}, {"/x", nil, ""}, {"a:x", nil, ""}, {"a:0", nil, ""}, {"a:70000", nil, ""}, {"a b:1", nil, ""},
		{"a:1/x/", nil, ""}, {"a:1//x", nil, ""}, {"a:1/../x", nil, ""}, {":5", nil, ""},
	} {
		servers, chroot, err := parseConnect(c.in)
		if (err == nil) != (c.servers != nil) || !slices.Equal(servers, c.servers) || chroot != c.chroot {
			t.Errorf("%q: got %q, %q, %v", c.in, servers, chroot, err)
		}
	}
}
