// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// ownNetwork makes cmd run in a network namespace of its own (as `unshare -rn` does), where every port
// is free and nothing else can be reached.
func ownNetwork(cmd *exec.Cmd) {
	self := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: self(os.Getuid()), GidMappings: self(os.Getgid()),
	}
}

// loopbackUp brings the loopback interface of a new network namespace up (rtnetlink(7), as
// `ip link set lo up` does).
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC,
		syscall.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	const loopback = 1 // its index in every namespace
	e := binary.NativeEndian
	b := e.AppendUint32(nil, syscall.SizeofNlMsghdr+syscall.SizeofIfInfomsg)
	b = e.AppendUint16(b, syscall.RTM_NEWLINK)
	b = e.AppendUint16(b, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)
	b = e.AppendUint64(b, 1)              // sequence number, and no port
	b = e.AppendUint32(b, 0)              // family, padding, device type
	b = e.AppendUint32(b, loopback)       // of the interface
	b = e.AppendUint32(b, syscall.IFF_UP) // the flags
	b = e.AppendUint32(b, syscall.IFF_UP) // which of them change
	kernel := &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}
	if err := syscall.Sendto(fd, b, 0, kernel); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, os.Getpagesize())
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := acknowledged(answer[:n]); err != nil {
		t.Fatalf("bring loopback up: %v", err)
	}
}

// acknowledged reads the kernel's answer.
func acknowledged(b []byte) error {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return err
	}
	if len(messages) != 1 || messages[0].Header.Type != syscall.NLMSG_ERROR ||
		len(messages[0].Data) < 4 {
		return fmt.Errorf("an answer of %d messages", len(messages))
	}
	if code := int32(binary.NativeEndian.Uint32(messages[0].Data)); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}
