package probe

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// frame puts the size before bytes given as hex with blanks.
func frame(hexText string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(hexText, " ", ""))
	if err != nil {
		panic(err) // a literal of this file
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func framingCases() []Case {
	return group("framing",
		named("size", func(r *Run) {
			r.Raw("size 0", []byte{0, 0, 0, 0})
			r.Raw("size -1", []byte{255, 255, 255, 255})
			r.Raw("size -2^31", []byte{128, 0, 0, 0})
			r.Raw("size 104857601, one above socket.request.max.bytes", []byte{6, 64, 0, 1})
			r.Raw("HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			r.Raw("TLS hello", []byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3})
			r.Raw("size 1", []byte{0, 0, 0, 1, 0})
			r.Raw("a size and half a header", []byte{0, 0, 0, 20, 0, 18})
		}),
		named("header", func(r *Run) {
			r.Raw("ApiVersions v0, correlation id 7", frame("0012 0000 00000007 0001 61"))
			r.Raw("null client id", frame("0012 0000 00000007 ffff"))
			r.Raw("client id of length -2", frame("0012 0000 00000007 fffe"))
			r.Raw("client id longer than the frame", frame("0012 0000 00000007 0009 61"))
			r.Raw("negative correlation id", frame("0012 0000 ffffffff 0001 61"))
			r.Raw("bytes after the body", frame("0012 0000 00000007 0001 61 deadbeef"))
			r.Raw("header cut in the correlation id", frame("0012 0000 0000"))
			r.Raw("flexible header with an unknown tag", frame("0012 0003 00000007 0001 61 01 05 02 abcd 02 61 02 62 00"))
			r.Raw("flexible header with a cut tag section", frame("0012 0003 00000007 0001 61 01 05 7f ab"))
			r.Raw("flexible header with a tag count of 2^32-1", frame("0012 0003 00000007 0001 61 ffffffff0f"))
			r.Raw("unknown version and a broken tag section", frame("0012 0063 00000007 0001 61 01 05 7f ab"))
			r.Raw("unknown version and a good header", frame("0012 0063 00000007 0001 61 00"))
		}),
		named("api key", func(r *Run) {
			r.Raw("unknown key 999", frame("03e7 0000 00000007 0001 61"))
			r.Raw("key -1", frame("ffff 0000 00000007 0001 61"))
			r.Raw("key 55 of another listener", frame("0037 0000 00000007 0001 61 00 00"))
			r.Raw("key 71 of another listener", frame("0047 0000 00000007 0001 61 00 00"))
			r.Raw("Produce v99", frame("0000 0063 00000007 0001 61 00"))
			r.Raw("Metadata v13", frame("0003 000d 00000007 0001 61 00 00"))
			r.Raw("Metadata v-1", frame("0003 ffff 00000007 0001 61"))
		}),
		named("body", func(r *Run) {
			r.Raw("Metadata v1 with 2^31-1 topics", frame("0003 0001 00000007 0001 61 7fffffff"))
			r.Raw("Metadata v1 with -2 topics", frame("0003 0001 00000007 0001 61 fffffffe"))
			r.Raw("Metadata v1 with a topic of length -1", frame("0003 0001 00000007 0001 61 00000001 ffff"))
			r.Raw("Metadata v1 with half a body", frame("0003 0001 00000007 0001 61 0000"))
			r.Raw("Metadata v9 with a null name", frame("0003 0009 00000007 0001 61 00 02 00 00 01 00 00 00"))
			r.Raw("Metadata v1, a name that is not UTF-8", frame("0003 0001 00000007 0001 61 00000001 0002 c328"))
			r.Raw("Produce v9 with a broken varint", frame("0000 0009 00000007 0001 61 00 ffffffffffff"))
		}),
		named("sasl", func(r *Run) {
			h := kmsg.NewPtrSASLHandshakeRequest()
			h.Mechanism = "PLAIN"
			r.Do("on a listener without SASL", h, 1)
			r.Do("on a listener without SASL", h, 0)
			a := kmsg.NewPtrSASLAuthenticateRequest()
			a.SASLAuthBytes = []byte{0}
			r.Do("on a listener without SASL", a, 2)
		}),
	)
}
