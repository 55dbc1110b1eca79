package security

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// ScramMechanism is a mechanism of SCRAM by its number on the wire (KIP-554).
type ScramMechanism int8

// The mechanisms.
const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

// ScramMechanisms are all that there are.
var ScramMechanisms = [...]ScramMechanism{ScramSHA256, ScramSHA512}

// The iterations that a credential may have (Kafka 3.9 ScramMechanism).
const (
	MinScramIterations = 4096
	MaxScramIterations = 16384
)

// Name is the mechanism's name, which is also the key of a user's credential in ZooKeeper; "" for an unknown one.
func (m ScramMechanism) Name() string {
	switch m {
	case ScramSHA256:
		return "SCRAM-SHA-256"
	case ScramSHA512:
		return "SCRAM-SHA-512"
	}
	return ""
}

// hash is the mechanism's hash; of an unknown one it must not be asked.
func (m ScramMechanism) hash() hash.Hash {
	if m == ScramSHA256 {
		return sha256.New()
	}
	return sha512.New()
}

// ScramCredential is what a broker keeps of a user's password (RFC 5802).
type ScramCredential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int
}

// NewScramCredential makes the credential of a salted password. Kafka 3.9 ScramFormatter.generateCredential.
func NewScramCredential(m ScramMechanism, salt, saltedPassword []byte, iterations int) ScramCredential {
	mac := func(text string) []byte {
		h := hmac.New(m.hash, saltedPassword)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := m.hash()
	stored.Write(mac("Client Key"))
	return ScramCredential{Salt: salt, StoredKey: stored.Sum(nil), ServerKey: mac("Server Key"), Iterations: iterations}
}

// String is the credential as it stands in ZooKeeper. Kafka 3.9 ScramCredentialUtils.credentialToString.
func (c ScramCredential) String() string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("salt=%s,stored_key=%s,server_key=%s,iterations=%d", b(c.Salt), b(c.StoredKey), b(c.ServerKey), c.Iterations)
}

// ParseScramCredential reads what String writes.
func ParseScramCredential(text string) (ScramCredential, error) {
	var c ScramCredential
	fields := map[string]string{}
	for _, field := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(field, "=")
		fields[key] = value
	}
	if len(fields) != 4 {
		return c, fmt.Errorf("a credential with %d fields, not 4", len(fields))
	}
	for key, to := range map[string]*[]byte{"salt": &c.Salt, "stored_key": &c.StoredKey, "server_key": &c.ServerKey} {
		b, err := base64.StdEncoding.DecodeString(fields[key])
		if err != nil {
			return c, fmt.Errorf("%s of a credential: %w", key, err)
		}
		*to = b
	}
	n, err := strconv.Atoi(fields["iterations"])
	if err != nil {
		return c, fmt.Errorf("iterations of a credential: %w", err)
	}
	c.Iterations = n
	return c, nil
}
