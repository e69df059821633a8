package needs

import (
	"graft/internal/build/source"
	"testing"
)

// What is missing is said at once, with the command that installs it, not after minutes of compiling.
func TestMissingDependenciesAreToldTogether(t *testing.T) {
	n := Query{Layout: source.LayoutOpenResty, Nginx: "1.21.4", Configure: []string{"--with-http_image_filter_module"}, PCRE1: true}
	list := dependencies(n, toolchain{met: map[string]bool{"C compiler": true, "C library headers": true, "make": true, "Perl": true, "zlib": true}}, source.FamilyDebian)
	err := Prediction{Dependencies: list, family: source.FamilyDebian}.Missing()
	want := "the build needs what is not installed here: PCRE (libpcre3-dev), OpenSSL (libssl-dev), GD (libgd-dev); install it with: apt-get install libpcre3-dev libssl-dev libgd-dev"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
