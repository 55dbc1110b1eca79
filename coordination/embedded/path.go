package embedded

import "strings"

// validPath applies ZooKeeper 3.8's PathUtils.validatePath: absolute, no trailing slash, no empty segment, no "." or
// "..", none of the characters it excludes. A rune beyond U+FFFF is a pair of surrogates to Java, which are excluded.
// Malformed UTF-8 arrives as U+FFFD (decoder.text).
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' {
		return false
	}
	for rest := path[1:]; ; {
		seg, tail, more := strings.Cut(rest, "/")
		if seg == "" || seg == "." || seg == ".." {
			return false
		}
		for _, r := range seg {
			if r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
				return false
			}
		}
		if !more {
			return true
		}
		rest = tail
	}
}

// splitPath cuts a path with at least one slash into its parent's path ("" for the root) and its last name.
func splitPath(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// specialPath says whether clients may not delete the node: the server's own ones.
func specialPath(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}
