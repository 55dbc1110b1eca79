//go:build !unix

package logstore

import "errors"

var errQuota = errors.New("disk quota exceeded")
