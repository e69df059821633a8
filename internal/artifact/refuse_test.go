package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// hostile is one thing that an import must refuse.
type hostile struct {
	name   string
	forge  func(f *forged)
	rule   Rule
	entry  string
	sealed bool // the manifest's hash is right again afterwards: whoever forges can hash, too
}

const (
	luaA     = forgedPrefix + "/lualib/a.lua"
	luaB     = forgedPrefix + "/lualib/b.lua"
	nginxBin = forgedPrefix + "/nginx/sbin/nginx"
	site     = forgedPrefix + "/site"
	opener   = forgedPrefix + "/bin/openresty"
)

// hostileArchives are wrong as a file or as a tar.
func hostileArchives() []hostile {
	list := []hostile{
		{name: "nothing", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.after = func([]byte) []byte { return nil } }},
		{name: "no zstd", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.after = func([]byte) []byte { return f.tar() } }},
		{name: "a byte behind", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte { return append(b, 0) }
		}},
		{name: "a second frame", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte { return append(b, compress(f.t, nil)...) }
		}},
		{name: "a skippable frame behind", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte { return append(b, "\x50\x2a\x4d\x18\x02\x00\x00\x00hi"...) }
		}},
		{name: "a skippable frame before", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte { return append([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00hi"), b...) }
		}},
		{name: "no checksum", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.encoder = []zstd.EOption{zstd.WithEncoderCRC(false)}
		}},
		{name: "a wrong checksum", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}},
		{name: "a window of 512 MiB", rule: RuleSize, entry: "archive", forge: func(f *forged) {
			f.encoder = []zstd.EOption{zstd.WithWindowSize(zstd.MaxWindowSize), zstd.WithSingleSegment(false)}
			f.tail = bytes.Repeat([]byte("x"), 16<<20) // a short stream gets a small window
		}},
		{name: "a tar without an end", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.noEnd = true }},
		{name: "something behind the tar", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.tail = []byte("x") }},
		{name: "a second tar behind the tar", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.tail = f.tar() }},
		{name: "zeros behind the tar", rule: RuleArchive, entry: "archive", forge: func(f *forged) { f.tail = make([]byte, 512) }},
		{name: "a damaged tar header", rule: RuleArchive, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte {
				plain := decompress(f.t, b)
				plain[0] ^= 1
				return compress(f.t, plain)
			}
		}},
		{name: "records without end", rule: RuleSize, entry: "archive", forge: func(f *forged) {
			f.after = func(b []byte) []byte {
				plain := decompress(f.t, b)
				long := &tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n/", 300<<10) + "n", Mode: 0o644}
				var out bytes.Buffer
				w := tar.NewWriter(&out)
				if err := w.WriteHeader(long); err != nil {
					f.t.Fatal(err)
				}
				record := out.Bytes()[:out.Len()-block]
				return compress(f.t, append(bytes.Repeat(record, 10), plain...))
			}
		}},

		{name: "a file that is not listed", rule: RuleListed, entry: "tree/opt/rt/lualib/c.lua", forge: func(f *forged) {
			f.insert(luaB, forgedEntry{*(&File{Path: forgedPrefix + "/lualib/c.lua", Mode: 0o644}).header(), nil})
		}},
		{name: "a file at the end that is not listed", rule: RuleListed, entry: "tree/z", forge: func(f *forged) {
			f.entries = append(f.entries, forgedEntry{tar.Header{Typeflag: tar.TypeReg, Name: "tree/z", Mode: 0o644, ModTime: epoch()}, nil})
		}},
		{name: "a file twice", rule: RuleListed, entry: luaA, forge: func(f *forged) { f.insert(luaA, *f.at(luaA)) }},
		{name: "a file again at the end", rule: RuleListed, entry: luaA, forge: func(f *forged) { f.entries = append(f.entries, *f.at(luaA)) }},
		{name: "the manifest twice", rule: RuleName, entry: manifestName, forge: func(f *forged) {
			f.insert(luaA, forgedEntry{*manifestHeader(0), nil})
		}},
		{name: "a file missing", rule: RuleListed, entry: luaA, forge: func(f *forged) { f.remove(luaA) }},
		{name: "the last one missing", rule: RuleListed, entry: site, forge: func(f *forged) { f.remove(site) }},
		{name: "two files in the other order", rule: RuleListed, entry: luaA, forge: func(f *forged) {
			a, b := *f.at(luaA), *f.at(luaB)
			*f.at(luaA), *f.at(luaB) = b, a
		}},
		{name: "a directory that is not listed", rule: RuleListed, entry: "tree/opt/", forge: func(f *forged) {
			f.insert("debug/nginx.debug", forgedEntry{*(&File{Path: "opt", Mode: dirMode}).header(), nil})
		}},

		{name: "another mode", rule: RuleMode, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Mode = 0o755 }},
		{name: "unknown mode bits", rule: RuleMode, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Mode |= 0o10000 }},
		{name: "another size", rule: RuleSize, entry: luaA, forge: func(f *forged) {
			f.at(luaA).header.Size, f.at(luaA).content = 2, []byte("re")
		}},
		{name: "a size beyond all", rule: RuleSize, entry: luaA, forge: func(f *forged) { f.bigHeader(luaA, maxFile+1) }},
		{name: "other content", rule: RuleContent, entry: luaA, forge: func(f *forged) { f.at(luaA).content = []byte("return 9") }},
		{name: "another target", rule: RuleLink, entry: opener, forge: func(f *forged) { f.at(opener).header.Linkname = "/etc/passwd" }},
		{name: "a target on a file", rule: RuleType, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Linkname = "/etc/passwd" }},
		{name: "a link for a file", rule: RuleType, entry: luaA, forge: func(f *forged) {
			f.at(luaA).header = *(&File{Path: luaA, Link: "/etc/passwd", Mode: linkMode}).header()
		}},
		{name: "a directory for a file", rule: RuleType, entry: luaA, forge: func(f *forged) {
			f.at(luaA).header = *(&File{Path: luaA, Mode: dirMode}).header()
		}},
		{name: "a file for a link", rule: RuleType, entry: opener, forge: func(f *forged) {
			f.at(opener).header = *(&File{Path: opener, SHA256: "x", Mode: linkMode}).header()
		}},
		{name: "a global header", rule: RuleType, entry: "GlobalHead", forge: func(f *forged) {
			f.insert(luaA, forgedEntry{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"uid": "0"}}, nil})
		}},
		{name: "an owner", rule: RuleAttributes, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Uid = 33 }},
		{name: "a group", rule: RuleAttributes, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Gid = 33 }},
		{name: "an owner's name", rule: RuleAttributes, entry: luaA, forge: func(f *forged) { f.at(luaA).header.Uname = "www-data" }},
		{name: "a time", rule: RuleAttributes, entry: luaA, forge: func(f *forged) { f.at(luaA).header.ModTime = time.Unix(1, 0) }},
		{name: "a fraction of a time", rule: RuleAttributes, entry: luaA, forge: func(f *forged) {
			f.at(luaA).header.ModTime, f.at(luaA).header.Format = time.Unix(0, 5), tar.FormatPAX
		}},
		{name: "a file capability", rule: RuleAttributes, entry: nginxBin, forge: func(f *forged) {
			f.at(nginxBin).header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01"}
		}},
		{name: "an unknown record", rule: RuleAttributes, entry: luaA, forge: func(f *forged) {
			f.at(luaA).header.PAXRecords = map[string]string{"GRAFT.note": "x"}
		}},
		{name: "a sparse file in records", rule: RuleAttributes, entry: luaA, forge: func(f *forged) { f.sparse(luaA) }},
	}
	for typeflag, name := range map[byte]string{
		tar.TypeLink: "a hard link", tar.TypeChar: "a character device", tar.TypeBlock: "a block device", tar.TypeFifo: "a fifo",
		tar.TypeCont: "a contiguous file", 'M': "a file of an unknown type",
	} {
		list = append(list, hostile{name: name, rule: RuleType, forge: func(f *forged) { f.retype(luaA, typeflag) }})
	}
	for mode, name := range map[int64]string{0o4755: "set-user-ID", 0o2755: "set-group-ID", 0o1755: "sticky"} {
		list = append(list, hostile{name: name, rule: RuleMode, entry: nginxBin, forge: func(f *forged) { f.at(nginxBin).header.Mode = mode }})
	}
	for _, name := range []string{
		"/etc/passwd", "tree/../../etc/passwd", "../x", "tree/..", "tree/./opt", "tree//opt", "tree/a\x7f", "tree/\u202eaul.a", "tree/a\nb",
		"etc/passwd", "tree", "treeish/x", "tree/" + strings.Repeat("d/", 600) + "x", "tree/" + strings.Repeat("n", 256), "tree/\xff",
	} {
		list = append(list, hostile{name: fmt.Sprintf("the name %.40q", name), rule: RuleName, forge: func(f *forged) { f.at(luaA).header.Name = name }})
	}
	return list
}

// hostileManifests are wrong in what they say, while the archive holds just that.
func hostileManifests() []hostile {
	list := []hostile{
		{name: "another ID", rule: RuleID, entry: manifestName, forge: func(f *forged) { f.manifest.ID = strings.Repeat("a", 64) }},
		{name: "no ID", rule: RuleID, entry: manifestName, forge: func(f *forged) { f.manifest.ID = "" }},
		{name: "another schema", rule: RuleManifest, entry: manifestName, forge: func(f *forged) {
			text, _ := f.manifest.encode()
			f.text = bytes.Replace(text, []byte(`"schema": 1`), []byte(`"schema": 2`), 1)
		}},
		{name: "an unknown key", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.edit(`"name":`, `"extra": 1, "name":`) }},
		{name: "a key twice", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.edit(`"name":`, `"name": "x", "name":`) }},
		{name: "a key in capitals", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.edit(`"name":`, `"NAME":`) }},
		{name: "other spaces", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.edit(`"name": `, `"name":  `) }},
		{name: "text behind", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.edit("\n}\n", "\n}\n{}") }},
		{name: "no JSON", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.text = []byte("\x00\x01") }},
		{name: "null", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.text = []byte("null\n") }},
		{name: "a time of building", rule: RuleManifest, entry: manifestName, forge: func(f *forged) { f.manifest.Built = "2026-01-01T00:00:00Z" }},
		{name: "not the first entry", rule: RuleManifest, entry: "tree/x", forge: func(f *forged) {
			f.first, f.text = &tar.Header{Typeflag: tar.TypeReg, Name: "tree/x", Mode: 0o644, ModTime: epoch()}, []byte{}
		}},
		{name: "a link as manifest", rule: RuleManifest, entry: manifestName, forge: func(f *forged) {
			f.first, f.text = &tar.Header{Typeflag: tar.TypeSymlink, Name: manifestName, Linkname: "/etc/passwd", Mode: 0o644, ModTime: epoch()}, []byte{}
		}},
		{name: "a manifest with set-user-ID", rule: RuleMode, entry: manifestName, forge: func(f *forged) {
			f.first = manifestHeader(int64(len(f.encoded())))
			f.first.Mode = 0o4644
		}},
		{name: "a manifest of another mode", rule: RuleManifest, entry: manifestName, forge: func(f *forged) {
			f.first = manifestHeader(int64(len(f.encoded())))
			f.first.Mode = 0o600
		}},
		{name: "5 MiB of manifest", rule: RuleSize, entry: manifestName, forge: func(f *forged) { f.text = bytes.Repeat([]byte(" "), 5<<20) }},
		{name: "a million parts", rule: RuleSize, entry: manifestName, forge: func(f *forged) {
			f.text = []byte(`{"flags":[` + strings.Repeat("{},", 1_000_000) + `{}]}`)
		}},
		{name: "a terminal's escape in the name", rule: RuleText, entry: "name", sealed: true, forge: func(f *forged) { f.manifest.Name = "x\x1b[2J" }},
		{name: "no name", rule: RuleText, entry: "name", sealed: true, forge: func(f *forged) { f.manifest.Name = " " }},
		{name: "a line break in the source", rule: RuleText, entry: "source.location", sealed: true, forge: func(f *forged) { f.manifest.Source.Location = "a\nb" }},
		{name: "text that runs backwards", rule: RuleText, entry: "flags[0].reason", sealed: true, forge: func(f *forged) { f.manifest.Flags[0].Reason = "\u202e" }},
		{name: "an escape in a library's name", rule: RuleText, entry: "libraries[0]", sealed: true, forge: func(f *forged) { f.manifest.Libraries = []string{"\x1b"} }},
		{name: "a NUL in the prefix", rule: RuleText, entry: "prefix", sealed: true, forge: func(f *forged) { f.manifest.Prefix = "/opt/rt\x00" }},
		{name: "an unknown action", rule: RuleManifest, entry: "flags[0].action", sealed: true, forge: func(f *forged) { f.manifest.Flags[0].Action = "obey" }},
		{name: "an unknown signature status", rule: RuleManifest, entry: "signature.status", sealed: true, forge: func(f *forged) {
			f.manifest.Source.Signature = &Signature{Status: "trust me"}
		}},
		{name: "libraries that the binary does not need", rule: RuleContent, entry: manifestName, sealed: true, forge: func(f *forged) { f.manifest.Libraries = []string{"libm.so.6"} }},

		{name: "no binary", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = "" }},
		{name: "an absolute binary", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = "/bin/sh" }},
		{name: "a binary outside", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = "../../../bin/sh" }},
		{name: "a binary that is not there", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = "bin/sh" }},
		{name: "a link as binary", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = opener }},
		{name: "a directory as binary", rule: RuleBinary, entry: "binary", sealed: true, forge: func(f *forged) { f.manifest.Binary = site }},
		{name: "a binary that cannot be run", rule: RuleBinary, entry: luaA, sealed: true, forge: func(f *forged) { f.manifest.Binary = luaA }},
		{name: "a script as binary", rule: RuleBinary, entry: "run", sealed: true, forge: func(f *forged) {
			f.file("run", 0o755, "#!/bin/sh\n")
			f.manifest.Binary = "run"
		}},
		{name: "debug symbols that are not there", rule: RuleListed, entry: "debug", sealed: true, forge: func(f *forged) { f.manifest.Debug = "../x" }},
		{name: "a module that is not there", rule: RuleListed, entry: "modules[0].file", sealed: true, forge: func(f *forged) {
			f.manifest.Modules = []Module{{Name: "m", File: "/etc/passwd"}}
		}},

		{name: "a file that is listed twice", rule: RuleListed, entry: luaA, sealed: true, forge: func(f *forged) { f.file(luaA, 0o644, "return 1") }},
		{name: "an unsorted list", rule: RuleListed, entry: nginxBin, sealed: true, forge: func(f *forged) { slices.Reverse(f.manifest.Files) }},
		{name: "a file below a file", rule: RuleParent, entry: luaA + "/x", sealed: true, forge: func(f *forged) { f.file(luaA+"/x", 0o644, "") }},
		{name: "a file below a link", rule: RuleParent, entry: opener + "/x", sealed: true, forge: func(f *forged) { f.file(opener+"/x", 0o644, "") }},
		{name: "a file far below a link", rule: RuleParent, entry: opener + "/a/b/x", sealed: true, forge: func(f *forged) { f.file(opener+"/a/b/x", 0o644, "") }},
		{name: "a file below an empty directory", rule: RuleParent, entry: site + "/x", sealed: true, forge: func(f *forged) { f.file(site+"/x", 0o644, "") }},
		{name: "too many files", rule: RuleSize, entry: "files", sealed: true, forge: func(f *forged) {
			for i := range maxFiles {
				f.manifest.Files = append(f.manifest.Files, File{Path: fmt.Sprintf("z/%05d", i), Mode: dirMode})
			}
		}},
		{name: "a file beyond all", rule: RuleSize, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Size = maxFile + 1 }},
		{name: "a negative size", rule: RuleSize, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Size = -1 }},
		{name: "a tree beyond all", rule: RuleSize, sealed: true, forge: func(f *forged) {
			for i := range 3 {
				f.file(fmt.Sprintf("big/%d", i), 0o644, "")
				f.listed(fmt.Sprintf("big/%d", i)).Size = maxFile
			}
		}},
		{name: "a hash that is none", rule: RuleContent, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).SHA256 = "0" }},
		{name: "a link with content", rule: RuleType, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Link = "b.lua" }},
		{name: "a link with a mode", rule: RuleType, entry: opener, sealed: true, forge: func(f *forged) { f.listed(opener).Mode = 0o755 }},
		{name: "a directory with content", rule: RuleType, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).SHA256 = "" }},
		{name: "a directory that all may write", rule: RuleType, entry: site, sealed: true, forge: func(f *forged) { f.listed(site).Mode = 0o777 }},
		{name: "a file that all may write", rule: RuleMode, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Mode = 0o666 }},
		{name: "a file that its group may write", rule: RuleMode, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Mode = 0o664 }},
		{name: "a file that its owner may not read", rule: RuleMode, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Mode = 0o044 }},
		{name: "set-user-ID in the list", rule: RuleMode, entry: nginxBin, sealed: true, forge: func(f *forged) { f.listed(nginxBin).Mode = 0o4755 }},
		{name: "Go's set-user-ID in the list", rule: RuleMode, entry: nginxBin, sealed: true, forge: func(f *forged) { f.listed(nginxBin).Mode |= 1 << 23 }},
		{name: "Go's device bit in the list", rule: RuleMode, entry: luaA, sealed: true, forge: func(f *forged) { f.listed(luaA).Mode |= 1 << 26 }},

		{name: "configuration in the runtime", rule: RuleConfig, entry: "conf/x.conf", sealed: true, forge: func(f *forged) { f.file(forgedPrefix+"/nginx/conf/x.conf", 0o644, "") }},
		{name: "configuration where the binary looks for it", rule: RuleConfig, entry: "here/x", sealed: true, forge: func(f *forged) {
			f.manifest.Build.Conf = "/opt/rt/here/nginx.conf"
			f.file(forgedPrefix+"/here/x", 0o644, "")
		}},
	}
	for name, path := range map[string]string{
		"an absolute name": "/etc/passwd", "a name that climbs": "../../etc/passwd", "a name that climbs inside": "opt/../../x", "a NUL": "a\x00b",
		"an empty part": "a//b", "a dot": "./a", "a slash at the end": "a/", "an empty name": "", "a name of dots": "..",
		"an escape": "a\x1b[1m", "a line break": "a\nb", "a name that runs backwards": "a\u202eb", "an invisible character": "a\u200bb",
		"a long name": strings.Repeat("d/", 600) + "x", "a long part": strings.Repeat("n", 256),
	} {
		list = append(list, hostile{name: name + " in the list", rule: RuleName, sealed: true, forge: func(f *forged) { f.listed(luaA).Path = path }})
	}
	for name, to := range map[string]string{
		"to elsewhere": "/etc/passwd", "that climbs": "../../../../etc/passwd", "to nothing": "nothing", "to itself": "openresty",
		"below a file": "../lualib/a.lua/x", "below a file with a dot": "../lualib/a.lua/.", "above the root": "../../../../../opt/rt/lualib/a.lua",
		"to the root": "/", "out of the prefix": "../../../debug/nginx.debug", "out of the prefix, absolute": "/debug/nginx.debug",
		"by way of outside": "/debug/../opt/rt/lualib/a.lua", "with an escape": "a\x1b", "of many steps": strings.Repeat("./", 511) + "x",
	} {
		list = append(list, hostile{name: "a link " + name, rule: RuleLink, entry: opener, sealed: true, forge: func(f *forged) { f.listed(opener).Link = to }})
	}
	list = append(list,
		hostile{name: "a link that leaves by way of another", rule: RuleLink, entry: "w/two", sealed: true, forge: func(f *forged) {
			f.link("w/deep/one", "../../w") // inside by itself
			f.link("w/two", "deep/one/../../etc/passwd")
		}},
		hostile{name: "configuration where the binary looks for it, relatively", rule: RuleConfig, entry: "here/x", sealed: true, forge: func(f *forged) {
			f.manifest.Build.Prefix, f.manifest.Build.Conf = "/opt/rt/here/", "etc/../x/nginx.conf"
			f.file(forgedPrefix+"/here/x/y", 0o644, "")
		}},
		hostile{name: "links in a circle", rule: RuleLink, sealed: true, forge: func(f *forged) {
			f.link("w/one", "two")
			f.link("w/two", "one")
		}},
		hostile{name: "a link out of the prefix by way of another", rule: RuleLink, sealed: true, forge: func(f *forged) {
			f.link("way", "opt/rt")
			f.listed(opener).Link = "/way/lualib/a.lua"
		}},
	)
	for _, prefix := range []string{
		"/", "//", "/etc", "/etc/nginx", "/etc/cron.d", "/usr", "/usr/bin", "/usr/lib/systemd/system", "/usr/share/nginx", "/usr/local", "/usr/local/bin",
		"/usr/local/lib/python3", "/usr/local/etc/nginx", "/bin", "/sbin/x", "/lib/systemd", "/lib64/x", "/var", "/var/spool/cron", "/var/lib/dpkg/info", "/var/opt",
		"/run/x", "/dev/shm", "/proc/self", "/sys/x", "/boot/grub", "/tmp/x", "/root", "/root/.ssh/x", "/root/.config", "/home", "/home/nginx", "/home/nginx/.ssh", "/home/nginx/.hidden", "/opt", "/srv", "opt/rt", "/opt/../etc", "/opt/rt/",
		"/opt//rt", "/opt/./rt", "..",
	} {
		list = append(list, hostile{name: fmt.Sprintf("the prefix %q", prefix), rule: RulePrefix, entry: "prefix", sealed: true, forge: func(f *forged) { f.manifest.Prefix = prefix }})
	}
	return list
}

func TestWhatImportRefuses(t *testing.T) {
	for kind, list := range map[string][]hostile{"archive": hostileArchives(), "manifest": hostileManifests()} {
		t.Run(kind, func(t *testing.T) {
			s, _ := freshStore(t)
			for _, h := range list {
				t.Run(h.name, func(t *testing.T) {
					_, err := s.Import(t.Context(), bytes.NewReader(h.archive(t)), "")
					refused(t, err, h.rule, h.entry)
					holdsNothing(t, s)
				})
			}
		})
	}
}

// archive is the honest one with the one thing changed.
func (h hostile) archive(t testing.TB) []byte {
	t.Helper()
	f := honest(t)
	h.forge(f)
	if h.sealed {
		f.seal()
	}
	return f.archive()
}
