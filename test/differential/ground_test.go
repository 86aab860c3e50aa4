// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// messageBytes is the largest message that both brokers take; the default is too much for a test.
	messageBytes = 1 << 20
	// hubMemory is what the hub may use, of which watermarks are fractions.
	hubMemory = 4 << 30
)

// An account is a user of both brokers. Its password is its name.
type account struct {
	name, tags             string
	configure, write, read string
	// topicWrite and topicRead limit the keys of amq.topic.
	topicWrite, topicRead string
	// everywhere says that it may open the virtual host /.
	everywhere bool
}

// accounts lists the users beside guest. A pattern matches whole names, for both brokers.
func accounts() []account {
	const all, own = "^.*$", `^lim\..*$`
	return []account{
		{
			name: "guest", tags: "administrator", configure: ".*", write: ".*", read: ".*",
			everywhere: true,
		},
		{name: "nowhere", tags: ""},
		{
			name: "limited", configure: own, write: `^(lim\..*|amq\.default)$`, read: own,
			everywhere: true,
		},
		{
			name: "topical", configure: all, write: all, read: all,
			topicWrite: `^t\.{username}\..*$`, topicRead: `^r\..*$`, everywhere: true,
		},
		{
			name: "actor", tags: "impersonator", configure: all, write: all, read: all,
			everywhere: true,
		},
	}
}

// hash is RabbitMQ's salted SHA-256, which both brokers know.
func (a account) hash() string {
	salt := []byte("salt")
	sum := sha256.Sum256(append(salt, a.name...))
	return base64.StdEncoding.EncodeToString(append(salt, sum[:]...))
}

// definitions are the accounts for RabbitMQ.
func definitions(t *testing.T) string {
	t.Helper()
	var users, permissions, topics []object
	for _, a := range accounts() {
		users = append(users, object{
			"name": a.name, "tags": a.tags, "password_hash": a.hash(),
			"hashing_algorithm": "rabbit_password_hashing_sha256",
		})
		if a.everywhere {
			permissions = append(permissions, object{
				"user": a.name, "vhost": "/", "configure": a.configure, "write": a.write,
				"read": a.read,
			})
		}
		if a.topicWrite != "" {
			topics = append(topics, object{
				"user": a.name, "vhost": "/", "exchange": "amq.topic", "write": a.topicWrite,
				"read": a.topicRead,
			})
		}
	}
	out, err := json.Marshal(object{
		"users": users, "vhosts": []object{{"name": "/"}}, "permissions": permissions,
		"topic_permissions": topics,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// hubConfig is the hub's configuration with a memory watermark; JSON is YAML too.
func hubConfig(t *testing.T, memoryBytes int) []byte {
	t.Helper()
	var users []object
	for _, a := range accounts() {
		user := object{"name": a.name, "hash": a.hash()}
		if a.tags != "" {
			user["tags"] = []string{a.tags}
		}
		if a.everywhere {
			user["permissions"] = object{"/": object{
				"configure": a.configure, "write": a.write, "read": a.read,
			}}
		}
		if a.topicWrite != "" {
			user["topics"] = object{"/": object{"amq.topic": object{
				"write": a.topicWrite, "read": a.topicRead,
			}}}
		}
		users = append(users, user)
	}
	limits := object{"message_bytes": fmt.Sprintf("%dB", messageBytes)}
	if memoryBytes > 0 {
		limits["memory_bytes"] = fmt.Sprintf("%dB", memoryBytes)
	}
	out, err := json.Marshal(object{"users": users, "limits": limits})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// startOracle starts RabbitMQ.
func startOracle(t *testing.T) *harness.Broker {
	t.Helper()
	return harness.StartRabbit(t, harness.RabbitOptions{
		Definitions: definitions(t), Conf: fmt.Sprintf("max_message_size = %d\n", messageBytes),
	})
}

// startHub starts a hub that knows the same users and limits.
func startHub(t *testing.T) *harness.Broker {
	t.Helper()
	file := filepath.Join(t.TempDir(), "parley.yaml")
	write := func(memoryBytes int) {
		if err := os.WriteFile(file, hubConfig(t, memoryBytes), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(0)
	h := harness.Start(t, harness.Build(t), harness.Options{
		Args: []string{"-c", file}, Env: []string{fmt.Sprintf("GOMEMLIMIT=%d", hubMemory)},
	})
	return &harness.Broker{
		Name: "parley", AMQP: h.AMQP, STOMP: h.STOMP, Management: h.Management,
		Watermark: func(tb testing.TB, mille int) {
			tb.Helper()
			write(max(1, hubMemory/1000*mille)) // 0 would be the default
			before := h.Lines("configuration reloaded")
			if err := syscall.Kill(h.Pid(), syscall.SIGHUP); err != nil {
				tb.Error(err)
			}
			err := harness.Poll(comesWait, func() error {
				if n := h.Lines("configuration reloaded"); n == before {
					return fmt.Errorf("reloaded %d times", n)
				}
				return nil
			})
			if err != nil {
				tb.Error(err)
			}
		},
	}
}
