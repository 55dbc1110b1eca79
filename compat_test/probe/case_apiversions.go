package probe

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// apiVersionsRequest has the names that v3 requires.
func apiVersionsRequest() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "probe", "1.0"
	return req
}

// apiVersions asks and keeps of the key table only key 18, and whether it is ordered: the whole table is one case's.
func apiVersions(r *Run, step string, req *kmsg.ApiVersionsRequest, version int16) {
	a, err := r.connection().Exchange(req, version)
	if err == nil {
		resp := a.Resp.(*kmsg.ApiVersionsResponse)
		byKey := func(a, b kmsg.ApiVersionsResponseApiKey) int { return cmp.Compare(a.ApiKey, b.ApiKey) }
		step += fmt.Sprintf(" (keys ordered: %v)", slices.IsSortedFunc(resp.ApiKeys, byKey))
		resp.SupportedFeatures = nil // Apache 3.9 has none to finalize with ZooKeeper
		resp.ApiKeys = slices.DeleteFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey != 18 })
	}
	r.note(fmt.Sprintf("v%d: %s", version, step), a, err)
}

// KeyTable is the name of the case whose answer may be a subset of Apache's: no key, and no version of a key, that
// Apache 3.9 does not serve; which are still missing is progress, not a difference.
const KeyTable = "apiversions/key table"

func apiVersionsCases() []Case {
	return group("apiversions",
		named("key table", func(r *Run) { r.Do("all keys", apiVersionsRequest(), 4) }),
		named("every version", func(r *Run) {
			for v := range int16(5) {
				apiVersions(r, "a version the broker has", apiVersionsRequest(), v)
			}
		}),
		named("unknown version", func(r *Run) {
			for _, v := range []int16{5, 6, 99, 32767} {
				apiVersions(r, "a version the broker has not", apiVersionsRequest(), v)
			}
			apiVersions(r, "the same connection goes on", apiVersionsRequest(), 4)
			apiVersions(r, "negative version", apiVersionsRequest(), -1)
		}),
		named("software name", func(r *Run) {
			for _, n := range [][2]string{{"", "1"}, {"a", ""}, {"-a", "1"}, {"a-", "1"}, {"a b", "1"}, {"a.b-c", "1.0-x"},
				{"a", "1_0"}, {"ä", "1"}, {".", "1"}, {"A9", "9"}} {
				req := kmsg.NewPtrApiVersionsRequest()
				req.ClientSoftwareName, req.ClientSoftwareVersion = n[0], n[1]
				apiVersions(r, fmt.Sprintf("name %q version %q", n[0], n[1]), req, 3)
			}
		}),
		named("unknown tags in the request", func(r *Run) {
			req := apiVersionsRequest()
			req.UnknownTags.Set(77, []byte("abc"))
			apiVersions(r, "tag 77", req, 3)
		}),
	)
}
