package handlers

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

const emptyUser = "Username must not be empty"

// DescribeUserSCRAMCredentials tells which mechanisms of SCRAM users have credentials for, and with how many iterations (KIP-554), version 0. Of all users if none is named.
// Source: Kafka 3.9 ZkAdminManager.describeUserScramCredentials.
func (h *Handlers) DescribeUserSCRAMCredentials(ctx context.Context, r *Request, q *kmsg.DescribeUserSCRAMCredentialsRequest) *kmsg.DescribeUserSCRAMCredentialsResponse {
	resp := q.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	resp.Results, resp.ErrorMessage = []kmsg.DescribeUserSCRAMCredentialsResponseResult{}, new(string)
	if !h.mayCluster(ctx, r, security.Describe) {
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, optional(kerr.ClusterAuthorizationFailed.Description)
		return resp
	}
	if len(q.Users) == 0 {
		all, err := h.Settings.UserConfigs(ctx)
		if err != nil {
			resp.ErrorCode, resp.ErrorMessage = h.code(err), message(err)
			return resp
		}
		for _, user := range slices.Sorted(maps.Keys(all)) {
			if x := h.credentials(user, all[user]); x.ErrorCode != kerr.ResourceNotFound.Code {
				resp.Results = append(resp.Results, x)
			}
		}
		return resp
	}
	times := map[string]int{}
	for _, u := range q.Users {
		times[u.Name]++
	}
	for _, u := range q.Users {
		if times[u.Name] == 0 {
			continue // told already
		}
		x := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		x.User = u.Name
		switch {
		case u.Name == "":
			x.ErrorCode, x.ErrorMessage = kerr.ResourceNotFound.Code, optional(emptyUser)
		case times[u.Name] > 1:
			x.ErrorCode, x.ErrorMessage = kerr.DuplicateResource.Code, optional("Cannot describe SCRAM credentials for the same user twice in a single request: "+u.Name)
		default:
			conf, err := h.Settings.UserConfig(ctx, u.Name)
			if err != nil {
				x.ErrorCode, x.ErrorMessage = h.code(err), message(err)
				break
			}
			x = h.credentials(u.Name, conf)
		}
		times[u.Name] = 0
		resp.Results = append(resp.Results, x)
	}
	return resp
}

// credentials are those in a user's config, or RESOURCE_NOT_FOUND.
func (h *Handlers) credentials(user string, conf map[string]string) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	x := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	x.User, x.ErrorMessage = user, new(string)
	for _, m := range security.ScramMechanisms {
		text, has := conf[m.Name()]
		if !has {
			continue
		}
		c, err := security.ParseScramCredential(text)
		if err != nil {
			x.ErrorCode, x.ErrorMessage, x.CredentialInfos = h.code(err), message(err), nil
			return x
		}
		info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		info.Mechanism, info.Iterations = int8(m), int32(c.Iterations)
		x.CredentialInfos = append(x.CredentialInfos, info)
	}
	if len(x.CredentialInfos) == 0 {
		x.ErrorCode, x.ErrorMessage = kerr.ResourceNotFound.Code, optional("Attempt to describe a user credential that does not exist: "+user)
	}
	return x
}

// userChange is what a request asks to do to one user's credentials.
type userChange struct {
	name      string
	upserts   map[security.ScramMechanism]*kmsg.AlterUserSCRAMCredentialsRequestUpsertion
	deletions map[security.ScramMechanism]bool
	code      int16 // why it is refused, with the text
	text      string
}

// refuse keeps the first reason of a user; Apache lets that of an upsertion win over that of a deletion, which comes after it here.
func (u *userChange) refuse(code *kerr.Error, text string) {
	if u.code == 0 {
		u.code, u.text = code.Code, text
	}
}

// AlterUserSCRAMCredentials sets and deletes users' credentials for SCRAM (KIP-554), version 0. They stand in ZooKeeper as Apache's. A user is changed as a whole or not at all.
// Only the controller's broker serves it. Source: Kafka 3.9 ZkAdminManager.alterUserScramCredentials.
func (h *Handlers) AlterUserSCRAMCredentials(ctx context.Context, r *Request, q *kmsg.AlterUserSCRAMCredentialsRequest) *kmsg.AlterUserSCRAMCredentialsResponse {
	resp := q.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	resp.Results = []kmsg.AlterUserSCRAMCredentialsResponseResult{}
	users := changesOf(q)
	for _, u := range users {
		switch {
		case !h.Controller.IsActive():
			u.code, u.text = kerr.NotController.Code, kerr.NotController.Description
		case !h.mayCluster(ctx, r, security.Alter):
			u.code, u.text = kerr.ClusterAuthorizationFailed.Code, kerr.ClusterAuthorizationFailed.Description
		case u.code == 0:
			if err := h.changeUser(ctx, u); err != nil {
				u.code = h.code(err)
				if m := message(err); m != nil {
					u.text = *m
				}
			}
		}
		x := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		x.User, x.ErrorCode, x.ErrorMessage = u.name, u.code, &u.text
		resp.Results = append(resp.Results, x)
	}
	return resp
}

// changesOf sorts a request by user, in the order in which they come, and says which are refused without looking at what is there.
func changesOf(q *kmsg.AlterUserSCRAMCredentialsRequest) []*userChange {
	var users []*userChange
	by := map[string]*userChange{}
	user := func(name string) *userChange {
		u := by[name]
		if u == nil {
			u = &userChange{name: name, upserts: map[security.ScramMechanism]*kmsg.AlterUserSCRAMCredentialsRequestUpsertion{}, deletions: map[security.ScramMechanism]bool{}}
			by[name] = u
			users = append(users, u)
		}
		return u
	}
	twice := map[*userChange]bool{}
	for i := range q.Upsertions {
		x := &q.Upsertions[i]
		u, m := user(x.Name), security.ScramMechanism(x.Mechanism)
		switch {
		case x.Name == "":
			u.refuse(kerr.UnacceptableCredential, emptyUser)
		case m.Name() == "":
			u.refuse(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
		case x.Iterations > security.MaxScramIterations:
			u.refuse(kerr.UnacceptableCredential, "Too many iterations")
		case x.Iterations < security.MinScramIterations:
			u.refuse(kerr.UnacceptableCredential, "Too few iterations")
		}
		twice[u] = twice[u] || u.upserts[m] != nil
		u.upserts[m] = x
	}
	for _, x := range q.Deletions {
		u, m := user(x.Name), security.ScramMechanism(x.Mechanism)
		switch {
		case x.Name == "":
			u.refuse(kerr.UnacceptableCredential, emptyUser)
		case m.Name() == "":
			u.refuse(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
		}
		twice[u] = twice[u] || u.deletions[m] || u.upserts[m] != nil
		u.deletions[m] = true
	}
	for u := range twice {
		if twice[u] {
			u.refuse(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")
		}
	}
	return users
}

func (h *Handlers) changeUser(ctx context.Context, u *userChange) error {
	conf, err := h.Settings.UserConfig(ctx, u.name)
	if err != nil {
		return err
	}
	next := maps.Clone(conf)
	if next == nil {
		next = map[string]string{}
	}
	for m := range u.deletions {
		if _, has := next[m.Name()]; !has {
			u.refuse(kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
			return nil
		}
		delete(next, m.Name())
	}
	for m, x := range u.upserts {
		next[m.Name()] = security.NewScramCredential(m, x.Salt, x.SaltedPassword, int(x.Iterations)).String()
	}
	return h.Settings.WriteUserConfig(ctx, u.name, next)
}
