package modules

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

func read(t testing.TB, path string) Table {
	t.Helper()
	table, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Real binaries say with -V what they were configured with; the names of most options and modules are
// the same.
func TestTheModulesOfABinaryAreThoseOfItsFlags(t *testing.T) {
	for _, bin := range []nginxtest.Binary{
		nginxtest.Debian(t), nginxtest.Release(t, "1.18.0"), nginxtest.Release(t, "1.26.3"),
	} {
		out, err := exec.CommandContext(t.Context(), bin.Path, "-V").CombinedOutput()
		if err != nil {
			t.Fatalf("%s -V: %v", bin.Path, err)
		}
		_, line, _ := strings.Cut(string(out), "configure arguments:")
		flags, err := nginx.LexConfigure(line)
		if err != nil {
			t.Fatal(err)
		}
		table := read(t, bin.Path)
		checked := 0
		for _, flag := range flags {
			name, ok := strings.CutPrefix(flag, "--with-")
			name, value, _ := strings.Cut(name, "=")
			if !ok || !strings.HasSuffix(name, "_module") && name != "stream" && name != "mail" {
				continue
			}
			if family, _, _ := strings.Cut(name, "_"); slices.Contains(flags, "--with-"+family+"=dynamic") {
				value = "dynamic" // of stream and mail, all are in one file
			}
			module := "ngx_" + strings.TrimSuffix(name, "_module")
			has := table.Has(module+"_module") || table.Has(module+"_filter_module")
			if has != (value != "dynamic") {
				t.Errorf("%s was configured with %s, but has %q", bin.Version, flag, table.Names())
			}
			checked++
		}
		if checked < 5 {
			t.Errorf("%s: only %d flags were of use: %q", bin.Version, checked, flags)
		}
		if table.Modules[0].Name != "ngx_core_module" || !table.Has("ngx_http_core_module") || table.Has("ngx_http_perl_module") {
			t.Errorf("%s has %q", bin.Version, table.Names())
		}
	}
}

// A binary's modules as `nginx -V` cannot tell them: Debian added this one with a security fix.
func TestAModuleWithoutAFlagIsSeen(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/sbin/nginx"))
	if !table.Has("ngx_http_header_count_module") {
		t.Skipf("this release of the package has no such module: %q", table.Names())
	}
}

func TestTheVersionIsThatOfTheBinary(t *testing.T) {
	for version, want := range map[string]uint{"1.18.0": 1018000, "1.26.3": 1026003} {
		if got := read(t, nginxtest.Release(t, version).Path).Version; got != want {
			t.Errorf("nginx %s: %d, want %d", version, got, want)
		}
	}
}

// What is the same source for two machines is the same table. Only the signature may differ.
func TestABinaryForAnotherMachineTellsTheSame(t *testing.T) {
	for _, file := range []string{
		"usr/sbin/nginx", "usr/lib/nginx/modules/ngx_http_geoip_module.so", "usr/lib/nginx/modules/ngx_stream_module.so",
	} {
		native, other := read(t, unpacked(t, "native", file)), read(t, unpacked(t, "foreign", file))
		native.Signature, other.Signature = "", ""
		for _, table := range []*Table{&native, &other} {
			// In what order the compiler lays them out is its own affair.
			for i := range table.Modules {
				slices.SortFunc(table.Modules[i].Variables, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
			}
			slices.SortFunc(table.Variables, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
		}
		if diff := cmp.Diff(native, other); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
	}
}

func TestEveryDynamicModuleOfTheDistributionIsRead(t *testing.T) {
	binary := read(t, unpacked(t, "native", "usr/sbin/nginx"))
	for _, file := range dynamicModules(t) {
		table := read(t, file)
		if table.Signature != binary.Signature || table.Version != binary.Version {
			t.Errorf("%s: %s %d, the binary has %s %d", file, table.Signature, table.Version, binary.Signature, binary.Version)
		}
		directives := 0
		for _, m := range table.Modules {
			if m.Name == "" {
				t.Errorf("%s: a module without a name", file)
			}
			directives += len(m.Directives)
		}
		if directives == 0 {
			t.Errorf("%s defines no directive: %+v", file, table)
		}
	}
}

func TestARunningBinaryIsReadAfterItsFileIsGone(t *testing.T) {
	bin := nginxtest.Debian(t)
	inst := nginxtest.Start(t, nginxtest.Options{Binary: bin})
	want := read(t, bin.Path)
	exe := fmt.Sprintf("/proc/%d/exe", inst.MasterPID)
	path, err := os.Readlink(exe)
	if err != nil || path == bin.Path {
		t.Fatalf("it runs %s, %v", path, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read(t, exe)); diff != "" {
		t.Error(diff)
	}
}

func TestAModulesVariablesAreKnown(t *testing.T) {
	table := read(t, unpacked(t, "native", "usr/lib/nginx/modules/ngx_http_geoip_module.so"))
	names := func(vs []Variable) (list []string) {
		for _, v := range vs {
			list = append(list, v.Name)
		}
		return list
	}
	want := []string{ // the documentation of ngx_http_geoip_module
		"geoip_country_code", "geoip_country_code3", "geoip_country_name", "geoip_org", "geoip_city_continent_code",
		"geoip_city_country_code", "geoip_city_country_code3", "geoip_city_country_name", "geoip_region",
		"geoip_region_name", "geoip_city", "geoip_postal_code", "geoip_latitude", "geoip_longitude", "geoip_dma_code",
		"geoip_area_code",
	}
	if diff := cmp.Diff(want, names(table.Modules[0].Variables)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkReadNginx(b *testing.B) {
	path := nginxtest.Debian(b).Path
	for b.Loop() {
		if _, err := Read(path); err != nil {
			b.Fatal(err)
		}
	}
}
