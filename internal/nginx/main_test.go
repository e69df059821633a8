package nginx

import (
	"testing"
	"time"

	"graft/internal/nginxtest"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// eventually waits until ok is true; what is for the message.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not seen within 15s", what)
		}
	}
}
