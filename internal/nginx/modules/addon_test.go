package modules

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the sources of a module tell is what the module compiled from them has.
func TestAnAddonsSourcesTellWhatItsModulesDefine(t *testing.T) {
	compiled := map[string]Module{}
	for _, so := range dynamicModules(t) {
		for _, m := range read(t, so).Modules {
			compiled[m.Name] = m
		}
	}
	want := map[string][]string{
		"brotli": {"ngx_http_brotli_filter_module", "ngx_http_brotli_static_module"},
		"ndk":    {"ndk_http_module"},
		"lua":    {"ngx_http_lua_module"},
		"geoip2": {"ngx_http_geoip2_module", "ngx_stream_geoip2_module"},
	}
	for _, source := range sourcePackages {
		addon, err := ReadAddon(unpacked(t, "source", source))
		if err != nil {
			t.Error(err)
			continue
		}
		var directives []string
		for _, name := range addon.Modules {
			m, ok := compiled[name]
			if !ok {
				t.Errorf("%s: there is no module %s", source, name)
			}
			for _, d := range m.Directives {
				directives = append(directives, d.Name)
			}
		}
		slices.Sort(directives)
		if diff := cmp.Diff(slices.Compact(directives), addon.Directives); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
		if addon.Name == "" || len(addon.Modules) == 0 {
			t.Errorf("%s: %+v", source, addon)
		}
		if names := want[source[strings.LastIndex(source, "-")+1:]]; names != nil && !slices.Equal(addon.Modules, names) {
			t.Errorf("%s has the modules %q", source, addon.Modules)
		}
	}
}

// addonDirectory writes a source directory.
func addonDirectory(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheOldFormOfConfigIsReadToo(t *testing.T) {
	addon, err := ReadAddon(addonDirectory(t, map[string]string{
		"config": "ngx_addon_name=ngx_http_x_module\n" +
			"HTTP_FILTER_MODULES=\"$HTTP_FILTER_MODULES ngx_http_ssi_filter_module ngx_http_x_module\" # and so on\n" +
			"NGX_ADDON_SRCS=\"$NGX_ADDON_SRCS $ngx_addon_dir/x.c\"\n",
		"x.c": `#define NAME "x_named"
/* ngx_command_t old[] = { { ngx_string("x_comment"), } */
static ngx_command_t ngx_http_x_commands[] = {
    { ngx_string("x"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, f, 0, 0, NULL },
#if 0
    { ngx_string("x_disabled"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, f, 0, 0, NULL },
#else
    { ngx_string("x_\"quoted\"{"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, f, 0, 0, NULL }, // }
#endif
    { ngx_string( NAME ), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, f, 0, 0, NULL },
    ngx_null_command
};
static ngx_str_t no = ngx_string("no_directive");
ngx_module_t  ngx_http_x_module = { NGX_MODULE_V1, NULL, ngx_http_x_commands };
`,
	}))
	want := Addon{
		Name: "ngx_http_x_module", Modules: []string{"ngx_http_x_module"},
		Directives: []string{"x", "x_\"quoted\"{", "x_named"},
	}
	if diff := cmp.Diff(want, addon); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestConfigIsReadAndNotRun(t *testing.T) {
	dir := addonDirectory(t, map[string]string{
		"config": "touch \"$ngx_addon_dir/ran\"; x=`touch " + "ran`; y=$(touch ran)\n" +
			"cat << END\nngx_module_name=ngx_http_here_module\nEND\n" +
			"ngx_addon_name='a '\"b\"\\ c\nngx_module_name=${ngx_addon_none}ngx_http_y_module . auto/module\n",
	})
	addon, err := ReadAddon(dir)
	want := Addon{Name: "a b c", Modules: []string{"ngx_http_y_module"}}
	if diff := cmp.Diff(want, addon); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("config was run")
	}
}

func TestNoFileOutsideAnAddonIsRead(t *testing.T) {
	outside := addonDirectory(t, map[string]string{
		"secret": "ngx_addon_name=secret\n", "m.c": "ngx_module_t ngx_http_m_module = {",
	})
	dir := addonDirectory(t, map[string]string{
		"config": "ngx_module_name=ngx_http_m_module\n. $ngx_addon_dir/link\n. $ngx_addon_dir/../" + filepath.Base(outside) + "/secret\n" +
			". " + outside + "/secret\nngx_module_srcs=\"$ngx_addon_dir/../m.c $ngx_addon_dir/m.c\"\n",
	})
	for from, to := range map[string]string{"link": "secret", "m.c": "m.c"} {
		if err := os.Symlink(filepath.Join(outside, to), filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	addon, err := ReadAddon(dir)
	if diff := cmp.Diff(Addon{Modules: []string{"ngx_http_m_module"}}, addon); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestADirectoryWithoutConfigIsNoAddon(t *testing.T) {
	if _, err := ReadAddon(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadAddon(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Sources that try to keep the reader busy: it gives up and says what it has.
func TestHostileSourcesTakeNoTime(t *testing.T) {
	dir := addonDirectory(t, map[string]string{
		"config": "ngx_addon_name=bomb\nA=aaaaaaaaaaaaaaaa\n" + strings.Repeat("A=$A$A\n", 100) +
			strings.Repeat(". $ngx_addon_dir/config\n", 100) + "x=$(((((((\n",
		"a.c": strings.Repeat("ngx_command_t a[] = {", 100_000) + strings.Repeat("#include \"a.c\"\n", 100_000),
		"b.c": "ngx_module_t x = {" + strings.Repeat("/*", 100_000) + "\"",
	})
	start := time.Now()
	if _, err := ReadAddon(dir); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// FuzzAddon: no source directory makes it panic or hang.
func FuzzAddon(f *testing.F) {
	for _, source := range []string{"libnginx-mod-http-brotli/filter", "libnginx-mod-http-lua", "libnginx-mod-rtmp"} {
		text, err := os.ReadFile(unpacked(f, "source", source, "config"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "ngx_command_t a[] = { { ngx_string(\"a\"), 0 }, };\nngx_module_t m = { 0 };")
	}
	f.Fuzz(func(t *testing.T, config, source string) {
		dir := addonDirectory(t, map[string]string{"config": config, "a.c": source})
		start := time.Now()
		if _, err := ReadAddon(dir); err != nil {
			t.Error(err)
		}
		if time.Since(start) > 20*time.Second {
			t.Error("it takes long")
		}
	})
}
