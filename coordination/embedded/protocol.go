package embedded

import "time"

// Request types (ZooDefs.OpCode of 3.8).
const (
	opCreate               = 1
	opDelete               = 2
	opExists               = 3
	opGetData              = 4
	opSetData              = 5
	opGetACL               = 6
	opSetACL               = 7
	opGetChildren          = 8
	opSync                 = 9
	opPing                 = 11
	opGetChildren2         = 12
	opCheck                = 13
	opMulti                = 14
	opCreate2              = 15
	opReconfig             = 16
	opCheckWatches         = 17
	opRemoveWatches        = 18
	opCreateContainer      = 19
	opCreateTTL            = 21
	opMultiRead            = 22
	opAuth                 = 100
	opSetWatches           = 101
	opSasl                 = 102
	opGetEphemerals        = 103
	opGetAllChildrenNumber = 104
	opSetWatches2          = 105
	opAddWatch             = 106
	opWhoAmI               = 107
	opCloseSession         = -11
	opError                = -1 // in multi results
)

// Reply xids that are not the request's.
const xidEvent = -1

// Error codes (KeeperException.Code).
const (
	codeOK                      = 0
	codeRuntimeInconsistency    = -2
	codeMarshallingError        = -5
	codeUnimplemented           = -6
	codeBadArguments            = -8
	codeNoNode                  = -101
	codeNoAuth                  = -102
	codeBadVersion              = -103
	codeNoChildrenForEphemerals = -108
	codeNodeExists              = -110
	codeNotEmpty                = -111
	codeSessionExpired          = -112
	codeInvalidACL              = -114
	codeAuthFailed              = -115
	codeNoWatcher               = -121
	codeReconfigDisabled        = -123
)

// Watch event types, and the only session state a server sends.
const (
	eventCreated         = 1
	eventDeleted         = 2
	eventDataChanged     = 3
	eventChildrenChanged = 4

	stateSyncConnected = 3
)

// Create flags (CreateMode.toFlag).
const (
	flagEphemeral     = 1
	flagSequential    = 2
	flagContainer     = 4
	flagTTL           = 5
	flagTTLSequential = 6
)

// Permissions of an ACL entry.
const (
	permRead   = 1
	permWrite  = 2
	permCreate = 4
	permDelete = 8
	permAdmin  = 16
	permAll    = 31
)

// Limits on what comes from outside, in bytes unless the name says otherwise.
const (
	defaultJuteMaxBytes = 0xfffff // ZooKeeper's jute.maxbuffer
	requestCost         = 256     // what a request costs beside its frame
	connRequestBytes    = 4 << 20 // read and not yet answered, one connection
	serverRequestBytes  = 64 << 20
	connOutputBytes     = 4 << 20   // beyond this a connection's further requests wait
	serverOutputBytes   = 256 << 20 // beyond this every connection with more than connOutputShare unsent waits
	connOutputShare     = 64 << 10
	connEventBytes      = 8 << 20   // events unsent beyond this drop the connection
	connWatchBytes      = 128 << 20 // watches beyond this drop the connection
	connAuthIDs         = 64
	maxRecordBytes      = 16 << 20 // one transaction in the log
	writeChunkBytes     = 256 << 10
)

// firstRequestTimeout bounds the life of a connection that has not sent its connect request (3.8:
// zookeeper.nio.sessionlessCnxnTimeout).
const firstRequestTimeout = 10 * time.Second

// lingerTimeout is how long a closed connection's unread input is drained.
const lingerTimeout = time.Second
