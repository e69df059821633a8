package source

import "testing"

func TestFamilyOfADistribution(t *testing.T) {
	for text, want := range map[string]Family{
		"ID=debian\nVERSION_ID=\"12\"":                    FamilyDebian,
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"":         FamilyDebian,
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"":    FamilyRHEL,
		"ID=\"amzn\"\nVERSION_ID=\"2\"":                   FamilyRHEL,
		"ID=alpine":                                       FamilyAlpine,
		"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"": FamilySUSE,
		"ID=\"sles\"\nVERSION_ID=\"15.6\"":                FamilySUSE,
		"ID=manjaro\nID_LIKE=arch":                        FamilyArch,
		"ID=void":                                         FamilyUnknown,
		"":                                                FamilyUnknown,
		"PRETTY_NAME=\"Debian-like\"\nID=gentoo\nID_LIKE=foo": FamilyUnknown,
	} {
		if got := ParseOSRelease(text).Family(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Names of packages depend on the release, and a rolling one has no number.
func TestReleaseNumber(t *testing.T) {
	for text, want := range map[string]int{"VERSION_ID=\"12\"": 12, "VERSION_ID=24.04": 24, "VERSION_ID='9.4'": 9, "ID=arch": 0, "VERSION_ID=edge": 0} {
		if got := ParseOSRelease(text).Major(); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if !ParseOSRelease("ID=debian\nVERSION_CODENAME=forky").Rolling() || ParseOSRelease("VERSION_ID=3.20").Rolling() {
		t.Error("a release without VERSION_ID is rolling, one with it is not")
	}
}
