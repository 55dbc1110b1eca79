package security

import (
	"encoding/base64"
	"testing"
)

// The example of RFC 7677: user "user", password "pencil".
func TestScramCredential(t *testing.T) {
	decode := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := NewScramCredential(ScramSHA256, decode("W22ZaJ0SNY7soEsUEjb6gQ=="), decode("xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0="), 4096)
	const want = "salt=W22ZaJ0SNY7soEsUEjb6gQ==,stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096"
	if got := c.String(); got != want {
		t.Errorf("\n%s\n%s", got, want)
	}
	back, err := ParseScramCredential(want)
	if err != nil || back.String() != want {
		t.Error(back, err)
	}
	for _, bad := range []string{"", "salt=a", want + ",x=y", "salt=!,stored_key=a,server_key=b,iterations=1", "salt=,stored_key=,server_key=,iterations=many"} {
		if c, err := ParseScramCredential(bad); err == nil {
			t.Errorf("%q is read as %v", bad, c)
		}
	}
	if n := len(NewScramCredential(ScramSHA512, nil, []byte("x"), 4096).StoredKey); n != 64 {
		t.Error("a key of SHA-512 has", n, "bytes")
	}
}
