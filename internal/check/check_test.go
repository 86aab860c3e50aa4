// SPDX-License-Identifier: Apache-2.0

package check

import "testing"

func TestAssert(t *testing.T) {
	t.Parallel()
	Assert(true, "holds")
	caught := func() (what any) {
		defer func() { what = recover() }()
		Assert(false, "one is two")
		return nil
	}()
	switch {
	case On && caught != "check: one is two":
		t.Errorf("a false statement gives %v", caught)
	case !On && caught != nil:
		t.Errorf("without the tag a false statement gives %v", caught)
	}
}
