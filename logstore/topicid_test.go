package logstore

import "testing"

func FuzzTopicID(f *testing.F) {
	f.Add([]byte("version: 0\ntopic_id: JLvnpmNkQIeKUGp6lIDhyw"))
	f.Add([]byte("version: 1\r\nx:  JLvnpmNkQIeKUGp6lIDhyw==\n"))
	f.Add([]byte("version: 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := decodeTopicID(b)
		if err != nil {
			return
		}
		if again, err := decodeTopicID(encodeTopicID(id)); err != nil || again != id || id.IsZero() {
			t.Fatalf("%s %v, want %s", again, err, id)
		}
	})
}
