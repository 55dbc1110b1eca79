package probe

import (
	"fmt"
)

// newer are the versions up to which keys are served here beyond Apache 3.9's: those of Kafka 4 for groups, transactions and topic ids.
var newer = map[string]int{"0": 13, "1": 18, "26": 5, "27": 2, "28": 5, "57": 2, "68": 1, "69": 1}

// DiffKeyTable compares the table of served keys: ours must lie within Apache's. Keys and versions that are not served
// yet go to logf.
func DiffKeyTable(logf func(string, ...any), want, got Step) []string {
	w, g := keyRanges(want.Answer), keyRanges(got.Answer)
	if len(g) == 0 {
		return []string{"no key table in the answer"}
	}
	var out []string
	for key, r := range g {
		a, ok := w[key]
		if !ok || r[0] < a[0] || r[1] > max(a[1], newer[key]) {
			out = append(out, fmt.Sprintf("key %s: versions %v served here, Apache has %v", key, r, a))
		}
	}
	for key, a := range w {
		if r, ok := g[key]; !ok || r != a {
			logf("key %s: Apache serves versions %v, here %v", key, a, r)
		}
	}
	return out
}

// keyRanges maps key to {min, max}; numbers are compared as the JSON numbers they are.
func keyRanges(answer any) map[string][2]int {
	m, _ := plain(answer).(map[string]any)
	rows, _ := m["ApiKeys"].([]any)
	out := make(map[string][2]int)
	for _, row := range rows {
		k, ok := row.(map[string]any)
		if !ok {
			continue
		}
		var key, lo, hi int
		if _, err := fmt.Sscan(fmt.Sprint(k["ApiKey"], " ", k["MinVersion"], " ", k["MaxVersion"]), &key, &lo, &hi); err == nil {
			out[fmt.Sprint(key)] = [2]int{lo, hi}
		}
	}
	return out
}
