package logstore

import "sync"

const (
	scanBufferBytes    = 4096    // walks batch headers and pages of an index
	recoverBufferBytes = 1 << 20 // reads whole batches; grows for larger ones
)

// Buffers are scratch memory shared by the logs of a broker. The zero value is ready. Safe for concurrent use.
type Buffers struct {
	scan    sync.Pool // *[]byte of scanBufferBytes
	recover sync.Pool // *[]byte of at least recoverBufferBytes
}

func (b *Buffers) getScan() *[]byte {
	if p, ok := b.scan.Get().(*[]byte); ok {
		return p
	}
	s := make([]byte, scanBufferBytes)
	return &s
}

func (b *Buffers) putScan(p *[]byte) { b.scan.Put(p) }

func (b *Buffers) getRecover() *[]byte {
	if p, ok := b.recover.Get().(*[]byte); ok {
		return p
	}
	s := make([]byte, recoverBufferBytes)
	return &s
}

// putRecover keeps the buffer unless one huge batch made it grow.
func (b *Buffers) putRecover(p *[]byte) {
	if cap(*p) <= 4*recoverBufferBytes {
		b.recover.Put(p)
	}
}
