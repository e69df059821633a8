package modules

import (
	"encoding/binary"
	"strings"
)

// layout is the offset of the field type in ngx_module_t. The two fields before it are, in every
// version, the context and the commands; what stands before those has changed.
type layout uint64

const (
	// layoutKnown is nginx's since 0.7 (1.9.11 turned four spare fields into name and signature,
	// which left the rest where it was), and that of freenginx, Angie and OpenResty.
	layoutKnown layout = 72
	// Tengine 2 put three fields more in front. Fields beyond that have not been seen.
	layoutTengine2 layout = 96
	layoutMax      layout = 128

	// Of layoutKnown, since 1.9.11.
	moduleVersion   = 40
	moduleSignature = 48
)

func (l layout) commands() uint64 { return uint64(l) - wordSize }
func (l layout) context() uint64  { return uint64(l) - 2*wordSize }

// exported finds the modules' addresses and names by nginx's own symbols. names is nil if there are
// none, as before 1.9.11.
func (m *image) exported() (list []uint64, names []string) {
	list = m.pointers("ngx_modules")
	for _, at := range m.pointers("ngx_module_names") {
		name, ok := m.cText(at)
		if !ok {
			return list, nil
		}
		names = append(names, name)
	}
	if len(names) != len(list) {
		names = nil
	}
	return list, names
}

// pointers reads the array of pointers of that name up to NULL; nil if there is no such array.
func (m *image) pointers(name string) []uint64 {
	s, ok := m.symbol(name)
	if !ok {
		return nil
	}
	var list []uint64
	for at := s.value; len(list) < maxModules; at += wordSize {
		p, ok := m.pointer(at)
		if !ok || p == imported {
			return nil
		}
		if p == 0 {
			return list
		}
		list = append(list, p)
	}
	return nil
}

// layoutOf finds the offset at which every module has a type.
func (m *image) layoutOf(list []uint64) (layout, bool) {
	fits := func(l layout) bool {
		for _, at := range list {
			if m.moduleType(at, l) == "" {
				return false
			}
		}
		return len(list) > 0
	}
	if fits(layoutKnown) {
		return layoutKnown, true
	}
	for l := layout(5 * wordSize); l <= layoutMax; l += wordSize {
		if fits(l) {
			return l, true
		}
	}
	return 0, false
}

// moduleType is the type of the module at that address; "" if there is none.
func (m *image) moduleType(at uint64, l layout) Type {
	w, ok := m.number(at + uint64(l))
	if !ok {
		return ""
	}
	return typeOf(w)
}

// typeOf spells a module's type: four capitals, the first one in the lowest byte.
func typeOf(w uint64) Type {
	name := []byte{byte(w), byte(w >> 8), byte(w >> 16), byte(w >> 24)}
	for _, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	if w>>32 != 0 {
		return ""
	}
	return Type(name)
}

// namesBySymbol names each module after the symbol at its address.
func (m *image) namesBySymbol(list []uint64) []string {
	named := map[uint64]string{}
	for _, s := range m.symbols {
		if s.defined && (named[s.value] == "" || strings.HasSuffix(s.name, "_module")) {
			named[s.value] = s.name
		}
	}
	names := make([]string, len(list))
	for i, at := range list {
		names[i] = named[at]
	}
	return names
}

// minScanned is how many modules a row of pointers must lead to before it is taken for ngx_modules.
// An nginx without HTTP has nine.
const minScanned = 6

// scan finds ngx_modules in a file without symbols: the longest row of pointers, NULL at its end, to
// things that have a type of nginx's where a module has it.
func (m *image) scan() []uint64 {
	typed := map[uint64]bool{}
	m.eachWord(func(at, w uint64) {
		if isScannedType(typeOf(w)) && !m.marked(at) && len(typed) < maxTotal {
			typed[at] = true
		}
	})
	var longest []uint64
	for _, l := range []layout{layoutKnown, layoutTengine2} {
		var row []uint64
		m.eachWord(func(at, w uint64) {
			p, ok := m.pointer(at)
			switch {
			case ok && p != 0 && typed[p+uint64(l)] && len(row) < maxModules:
				row = append(row, p)
			case ok && p == 0 && len(row) > len(longest) && len(row) >= minScanned:
				longest = row
				row = nil
			default:
				row = nil
			}
		})
	}
	return longest
}

func isScannedType(t Type) bool {
	switch t {
	case Core, Conf, Event, HTTP, Stream, Mail, "IMAP", "RTMP", "PROC":
		return true
	}
	return false
}

// eachWord visits the words of the file that may be written: tables that lead to others are there.
func (m *image) eachWord(visit func(at, w uint64)) {
	for i := range m.segments {
		s := &m.segments[i]
		if !s.write {
			continue
		}
		for n := -s.addr % wordSize; n+wordSize <= uint64(len(s.data)); n += wordSize {
			visit(s.addr+n, binary.LittleEndian.Uint64(s.data[n:]))
		}
	}
}
