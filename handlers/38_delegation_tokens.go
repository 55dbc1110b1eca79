package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The four requests about delegation tokens (KIP-48), versions 0 to 3 and 0 to 2. Who is not authenticated may not ask for them, and nobody is here:
// DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, as from Apache on a PLAINTEXT listener. Source: Kafka 3.9 KafkaApis.allowTokenRequests and those around it.

// CreateDelegationToken makes a token. v3 may name its owner (KIP-373).
func (h *Handlers) CreateDelegationToken(_ context.Context, r *Request, q *kmsg.CreateDelegationTokenRequest) *kmsg.CreateDelegationTokenResponse {
	resp := q.ResponseKind().(*kmsg.CreateDelegationTokenResponse)
	resp.ErrorCode = kerr.DelegationTokenRequestNotAllowed.Code
	resp.PrincipalType, resp.PrincipalName = r.Conn.Principal.Type, r.Conn.Principal.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = resp.PrincipalType, resp.PrincipalName
	if q.OwnerPrincipalName != nil && *q.OwnerPrincipalName != "" && q.OwnerPrincipalType != nil {
		resp.PrincipalType, resp.PrincipalName = *q.OwnerPrincipalType, *q.OwnerPrincipalName
	}
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp, resp.HMAC = -1, -1, -1, []byte{}
	return resp
}

// RenewDelegationToken lets a token live longer.
func (h *Handlers) RenewDelegationToken(_ context.Context, _ *Request, q *kmsg.RenewDelegationTokenRequest) *kmsg.RenewDelegationTokenResponse {
	resp := q.ResponseKind().(*kmsg.RenewDelegationTokenResponse)
	resp.ErrorCode, resp.ExpiryTimestamp = kerr.DelegationTokenRequestNotAllowed.Code, -1
	return resp
}

// ExpireDelegationToken ends a token.
func (h *Handlers) ExpireDelegationToken(_ context.Context, _ *Request, q *kmsg.ExpireDelegationTokenRequest) *kmsg.ExpireDelegationTokenResponse {
	resp := q.ResponseKind().(*kmsg.ExpireDelegationTokenResponse)
	resp.ErrorCode, resp.ExpiryTimestamp = kerr.DelegationTokenRequestNotAllowed.Code, -1
	return resp
}

// DescribeDelegationToken lists tokens.
func (h *Handlers) DescribeDelegationToken(_ context.Context, _ *Request, q *kmsg.DescribeDelegationTokenRequest) *kmsg.DescribeDelegationTokenResponse {
	resp := q.ResponseKind().(*kmsg.DescribeDelegationTokenResponse)
	resp.ErrorCode = kerr.DelegationTokenRequestNotAllowed.Code
	return resp
}
