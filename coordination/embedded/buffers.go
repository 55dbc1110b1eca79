package embedded

// Output buffers beyond maxPooledBytes are left to the garbage collector.
const (
	newBufferBytes = 512
	maxPooledBytes = 64 << 10
)

func (s *Server) buffer() []byte {
	if p, ok := s.bufs.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, newBufferBytes)
}

func (s *Server) recycle(b []byte) {
	if cap(b) >= newBufferBytes && cap(b) <= maxPooledBytes {
		s.bufs.Put(&b)
	}
}
