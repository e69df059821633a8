package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
)

// insert puts an entry behind that of path.
func (f *forged) insert(path string, e forgedEntry) {
	f.entries = slices.Insert(f.entries, f.index(path)+1, e)
}

func (f *forged) remove(path string) {
	at := f.index(path)
	f.entries = slices.Delete(f.entries, at, at+1)
}

func (f *forged) index(path string) int {
	f.t.Helper()
	e := f.at(path)
	for i := range f.entries {
		if &f.entries[i] == e {
			return i
		}
	}
	return -1
}

func (f *forged) encoded() []byte {
	f.t.Helper()
	text, err := f.manifest.encode()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// edit changes the manifest's text.
func (f *forged) edit(from, to string) {
	f.t.Helper()
	text := f.encoded()
	if !bytes.Contains(text, []byte(from)) {
		f.t.Fatalf("no %q in the manifest", from)
	}
	f.text = bytes.Replace(text, []byte(from), []byte(to), 1)
}

// rewrite changes the header of path in the finished tar, for what tar.Writer does not write.
func (f *forged) rewrite(path string, change func(header []byte) []byte) {
	f.after = func(archive []byte) []byte {
		plain := decompress(f.t, archive)
		at := bytes.Index(plain[block:], []byte(treeName+"/"+path+"\x00"))
		if at < 0 {
			f.t.Fatalf("no header of %s", path)
		}
		at += block
		header := change(slices.Clone(plain[at : at+block]))
		seal(header[len(header)-block:])
		return compress(f.t, slices.Concat(plain[:at], header, plain[at+block:]))
	}
}

// seal puts the right checksum into a tar header.
func seal(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func (f *forged) retype(path string, typeflag byte) {
	f.rewrite(path, func(header []byte) []byte {
		header[156] = typeflag
		if typeflag == tar.TypeLink {
			copy(header[157:], treeName+"/"+nginxBin)
		}
		return header
	})
}

// bigHeader lets the header tell another size than there is.
func (f *forged) bigHeader(path string, size int64) {
	f.rewrite(path, func(header []byte) []byte {
		copy(header[124:136], fmt.Sprintf("%011o\x00", size))
		return header
	})
}

// sparse writes the file as one with a hole, the way GNU tar does with POSIX headers (version 1.0).
func (f *forged) sparse(path string) {
	f.rewrite(path, func(header []byte) []byte {
		records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
			record("GNU.sparse.name", treeName+"/"+path) + record("GNU.sparse.realsize", "8")
		var extended bytes.Buffer
		w := tar.NewWriter(&extended)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "PaxHeaders/x", Size: int64(len(records)), Mode: 0o644}); err != nil {
			f.t.Fatal(err)
		}
		if _, err := w.Write([]byte(records)); err != nil {
			f.t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			f.t.Fatal(err)
		}
		head := extended.Bytes()
		head[156] = tar.TypeXHeader
		seal(head[:block])
		// The map of a sparse file stands before its data, in a block of its own.
		copy(header[124:136], fmt.Sprintf("%011o\x00", block+8))
		mapped := append([]byte("1\n0\n8\n"), make([]byte, block-6)...)
		seal(header)
		return append(append(head, header...), mapped...)
	})
}

func record(key, value string) string {
	text := fmt.Sprintf(" %s=%s\n", key, value)
	return fmt.Sprint(len(text)+2) + text // two digits

}
