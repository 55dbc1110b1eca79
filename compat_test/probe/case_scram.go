package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeSCRAM(users ...string) *kmsg.DescribeUserSCRAMCredentialsRequest {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, u := range users {
		x := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		x.Name = u
		req.Users = append(req.Users, x)
	}
	return req
}

type scramChange struct {
	user       string
	mechanism  int8
	iterations int32 // 0 deletes
}

func alterSCRAM(changes ...scramChange) *kmsg.AlterUserSCRAMCredentialsRequest {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, c := range changes {
		if c.iterations == 0 {
			d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
			d.Name, d.Mechanism = c.user, c.mechanism
			req.Deletions = append(req.Deletions, d)
			continue
		}
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = c.user, c.mechanism, c.iterations, []byte("salt"), []byte("password")
		req.Upsertions = append(req.Upsertions, u)
	}
	return req
}

func scramCases() []Case {
	return group("scram",
		named("one user's life", func(r *Run) {
			u := "a user*of+all ü" // what a znode's name is encoded for
			r.Do("nobody has any", describeSCRAM(), 0)
			r.Do("not there", describeSCRAM(u), 0)
			r.Do("set", alterSCRAM(scramChange{u, 1, 4096}), 0)
			r.Do("describe", describeSCRAM(u), 0)
			r.Do("set both", alterSCRAM(scramChange{u, 1, 5000}, scramChange{u, 2, 16384}), 0)
			r.Do("describe", describeSCRAM(u), 0)
			r.Do("of all", describeSCRAM(), 0)
			r.Do("delete one, set the other", alterSCRAM(scramChange{u, 1, 0}, scramChange{u, 2, 8192}), 0)
			r.Do("describe", describeSCRAM(u), 0)
			r.Do("delete what is not there", alterSCRAM(scramChange{u, 1, 0}), 0)
			r.Do("delete the other", alterSCRAM(scramChange{u, 2, 0}), 0)
			r.Do("not there any more", describeSCRAM(u), 0)
		}),
		named("refusals", func(r *Run) {
			for _, c := range []scramChange{{"", 1, 4096}, {"", 1, 0}, {"x", 0, 4096}, {"x", 3, 4096}, {"x", -1, 0}, {"x", 1, 4095}, {"x", 1, 16385}, {"x", 1, -1}, {"x", 1, 0}} {
				r.Do(fmt.Sprintf("user %q, mechanism %d, %d iterations", c.user, c.mechanism, c.iterations), alterSCRAM(c), 0)
			}
			r.Do("twice", alterSCRAM(scramChange{"x", 1, 4096}, scramChange{"x", 1, 5000}), 0)
			r.Do("set and delete", alterSCRAM(scramChange{"x", 1, 4096}, scramChange{"x", 1, 0}), 0)
			r.Do("delete twice", alterSCRAM(scramChange{"x", 1, 0}, scramChange{"x", 1, 0}), 0)
			r.Do("one of two is wrong", alterSCRAM(scramChange{"x", 1, 4096}, scramChange{"x", 2, 5}), 0)
			r.Do("nothing was set", describeSCRAM("x"), 0)
			r.Do("nothing", alterSCRAM(), 0)
			r.Do("describe nobody", describeSCRAM(""), 0)
			r.Do("describe twice", describeSCRAM("x", "x"), 0)
		}),
	)
}
