package record

import "hash/crc32"

// The CRC of two byte strings, one behind the other, follows from the CRCs of both and the length of the second. A leader uses it
// to stamp the append time on a batch under the partition's lock without reading the records again. The arithmetic is that of
// polynomials over GF(2) modulo the CRC-32C polynomial, bits reflected, as in zlib's crc32_combine.

// xPowers[n] is x to the power of 2^n.
var xPowers = func() (t [32]uint32) {
	p := uint32(1) << 30
	for n := range t {
		t[n] = p
		p = mulModP(p, p)
	}
	return t
}()

func mulModP(a, b uint32) (p uint32) {
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return p
}

// crcShift is the factor that moves a CRC in front of n bytes.
func crcShift(n int) uint32 {
	p := uint32(1) << 31
	for k := 3; n > 0; n, k = n>>1, k+1 { // 2^3 bits a byte
		if n&1 != 0 {
			p = mulModP(xPowers[k&31], p)
		}
	}
	return p
}

// crcJoin is the CRC of a head and a tail, of which shift is crcShift of the tail's length.
func crcJoin(head, tail, shift uint32) uint32 { return mulModP(shift, head) ^ tail }
