package embedded

import (
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// aclEntry grants perms to an identity.
type aclEntry struct {
	perms      int32
	scheme, id string
}

// authID is an identity of a connection: its address, and what auth packets proved.
type authID struct{ scheme, id string }

// acl is an interned list: nodes share it. A nil *acl is open to all, as a node without a stored ACL is in ZooKeeper.
type acl struct {
	entries []aclEntry
	key     string
	refs    int
}

func openEntries() []aclEntry { return []aclEntry{{permAll, "world", "anyone"}} }

// allowed says whether one of the identities has one of the permissions in perm.
func allowed(a *acl, perm int32, ids []authID) bool {
	if a == nil || len(a.entries) == 0 {
		return true
	}
	for _, e := range a.entries {
		if e.perms&perm != 0 && e.scheme == "world" && e.id == "anyone" {
			return true
		}
	}
	for _, id := range ids {
		if id.scheme == "super" {
			return true
		}
		for _, e := range a.entries {
			if e.perms&perm != 0 && e.scheme == id.scheme && matchID(id, e.id) {
				return true
			}
		}
	}
	return false
}

func matchID(id authID, expr string) bool {
	if id.scheme != "ip" {
		return id.id == expr
	}
	want, ok := parseIPPrefix(expr)
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(id.id)
	return err == nil && want.Contains(addr.Unmap())
}

// parseIPPrefix reads a.b.c.d[/bits]. IPv4 only, as in 3.8 (IPAuthenticationProvider).
func parseIPPrefix(expr string) (netip.Prefix, bool) {
	host, bits, masked := strings.Cut(expr, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is4() {
		return netip.Prefix{}, false
	}
	n := 32
	if masked {
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > 32 {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(addr, n), true
}

// fixACL resolves and checks a list that a client sent: duplicates go, "auth" becomes the caller's proven identities.
// ok is false for InvalidACL. Source: ZooKeeper 3.8 PrepRequestProcessor.fixupACL.
func fixACL(in []aclEntry, ids []authID) (out []aclEntry, ok bool) {
	if len(in) == 0 {
		return nil, false
	}
	if len(in) == 1 && in[0].scheme == "world" && in[0].id == "anyone" {
		return in, true
	}
	seen := make(map[aclEntry]struct{}, len(in))
	for _, e := range in {
		if _, dup := seen[e]; dup {
			continue
		}
		seen[e] = struct{}{}
		switch e.scheme {
		case "world":
			if e.id != "anyone" {
				return nil, false
			}
			out = append(out, e)
		case "auth":
			n := len(out)
			for _, id := range ids {
				if id.scheme != "ip" {
					out = append(out, aclEntry{e.perms, id.scheme, id.id})
				}
			}
			if n == len(out) {
				return nil, false
			}
		case "digest":
			// Java's split drops empty parts at the end, and two must be left.
			if strings.Count(strings.TrimRight(e.id, ":"), ":") != 1 {
				return nil, false
			}
			out = append(out, e)
		case "ip":
			if _, valid := parseIPPrefix(e.id); !valid {
				return nil, false
			}
			out = append(out, e)
		default:
			return nil, false
		}
		if len(out)*16 > maxRecordBytes {
			return nil, false
		}
	}
	return out, true
}

// digestID is the id an auth packet "user:password" of scheme digest proves.
func digestID(credentials []byte) string {
	user, _, _ := strings.Cut(string(credentials), ":")
	sum := sha1.Sum(credentials)
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// userOf is the name whoAmI shows: of a digest id what stands before the colon.
func userOf(id authID) string {
	if id.scheme == "digest" {
		user, _, _ := strings.Cut(id.id, ":")
		return user
	}
	return id.id
}

// maskDigests hides password hashes from a reader of the ACL who may not administer the node.
func maskDigests(in []aclEntry) []aclEntry {
	out := slices.Clone(in)
	for i, e := range out {
		if e.scheme == "digest" {
			user, _, _ := strings.Cut(e.id, ":")
			out[i].id = user + ":x"
		}
	}
	return out
}

func (d *decoder) acl() []aclEntry {
	n := d.count(12)
	out := make([]aclEntry, 0, n)
	for i := 0; i < n && !d.bad; i++ {
		out = append(out, aclEntry{d.i32(), d.text(), d.text()})
	}
	return out
}

func appendACL(b []byte, v []aclEntry) []byte {
	b = appendI32(b, int32(len(v)))
	for _, e := range v {
		b = appendI32(b, e.perms)
		b = appendText(b, e.scheme)
		b = appendText(b, e.id)
	}
	return b
}
