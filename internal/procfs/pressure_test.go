package procfs

import (
	"errors"
	"io/fs"
	"testing"
)

func TestCPUPressure(t *testing.T) {
	f := tree(t, map[string]string{"pressure/cpu": "some avg10=1.00 avg60=62.50 avg300=3.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"})
	if p, err := f.CPUPressure(); p != 0.625 || err != nil {
		t.Errorf("%v %v", p, err)
	}
	if _, err := tree(t, nil).CPUPressure(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, bad := range []string{"", "some\n", "some avg60=x\n", "some avg60=101\n", "full avg60=1.00\n"} {
		if p, err := tree(t, map[string]string{"pressure/cpu": bad}).CPUPressure(); err == nil {
			t.Errorf("%q: read as %v", bad, p)
		}
	}
	if p, err := New("/proc").CPUPressure(); err == nil && (p < 0 || p > 1) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of this host: %v %v", p, err)
	}
}
