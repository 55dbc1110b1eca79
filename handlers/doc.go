// Package handlers serves the API: one file per key, named by its number. A handler checks, translates the message into
// the domain's words, calls the domain and translates back; it holds no rule of its own.
//
// Table is the set of served APIs: ApiVersions, version checks, metric names and docs/compatibility.md derive from it.
// A row's Serve has one of two forms: on (answered before the next request of the connection begins) and staged (its
// ordered part runs at once, the answer may come later, in order).
//
// Domain errors are franz-go's kerr values, wrapped; code turns them into error codes, and nothing else does.
package handlers
