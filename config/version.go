package config

import "strings"

// protocolVersions are the versions of Kafka 3.9 MetadataVersion, oldest first; the last two are not released in 3.9.
var protocolVersions = [...]string{
	"0.8.0", "0.8.1", "0.8.2", "0.9.0", "0.10.0-IV0", "0.10.0-IV1", "0.10.1-IV0", "0.10.1-IV1", "0.10.1-IV2",
	"0.10.2-IV0", "0.11.0-IV0", "0.11.0-IV1", "0.11.0-IV2", "1.0-IV0", "1.1-IV0", "2.0-IV0", "2.0-IV1", "2.1-IV0",
	"2.1-IV1", "2.1-IV2", "2.2-IV0", "2.2-IV1", "2.3-IV0", "2.3-IV1", "2.4-IV0", "2.4-IV1", "2.5-IV0", "2.6-IV0",
	"2.7-IV0", "2.7-IV1", "2.7-IV2", "2.8-IV0", "2.8-IV1", "3.0-IV0", "3.0-IV1", "3.1-IV0", "3.2-IV0", "3.3-IV0",
	"3.3-IV1", "3.3-IV2", "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
	"3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1",
}

// latestProtocolVersion is the newest version 3.9 releases; a release name without IV means its newest up to here.
const latestProtocolVersion = "3.9-IV0"

// resolveVersion is MetadataVersion.fromVersionString: "3.9", "3.9.1" and "3.9-IV0" are one version. It returns the
// full name; versions compare by versionIndex.
func resolveVersion(s string) (string, bool) {
	segments := 2
	if strings.HasPrefix(s, "0.") {
		segments = 3
	}
	// Java's split drops empty parts at the end, and then keeps the string as it is.
	parts := strings.Split(s, ".")
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	if len(parts) > segments {
		s = strings.Join(parts[:segments], ".")
	}
	found := ""
	for _, v := range protocolVersions {
		if v == s {
			return v, true
		}
		release, _, _ := strings.Cut(v, "-")
		if release == s && versionIndex(v) <= versionIndex(latestProtocolVersion) {
			found = v
		}
	}
	return found, found != ""
}

// versionIndex orders full version names; -1 for an unknown one.
func versionIndex(full string) int {
	for i, v := range protocolVersions {
		if v == full {
			return i
		}
	}
	return -1
}

// protocolVersion is MetadataVersionValidator.
type protocolVersion struct{}

func (protocolVersion) Check(name string, v any) error {
	s, _ := v.(string)
	if _, ok := resolveVersion(s); !ok {
		return invalid(name, v, "Version "+s+" is not a valid version")
	}
	return nil
}

func (protocolVersion) String() string { return "a version of Kafka, 0.8.0 to 4.0-IV1" }
