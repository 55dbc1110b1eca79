package vfs

// OpenFileLimit is how many files and sockets the process may have open. Windows has no such limit short of memory.
func OpenFileLimit() int { return 1 << 20 }
