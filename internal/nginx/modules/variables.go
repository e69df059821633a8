package modules

import "slices"

// The fields of ngx_http_variable_t and ngx_stream_variable_t: name (a length, then the text),
// set_handler, get_handler, data, flags, index. They have not changed since 0.1.
const (
	variableText  = 8
	variableSet   = 16
	variableGet   = 24
	variableFlags = 40
	variableIndex = 48
	variableSize  = 56

	prefixFlag   = 0x20 // NGX_HTTP_VAR_PREFIX, since 1.13.4
	knownFlags   = 0xff // more than nginx has
	maxVariables = 512  // of one array; nginx's longest has 60
)

// array is a static array of variables and where in the file it stands.
type array struct {
	at        uint64
	variables []Variable
}

// variableArrays finds what looks like nothing else: no symbol leads to a module's variables, its
// preconfiguration function adds them to nginx's hash. What it adds without an array is not found.
func (m *image) variableArrays() []array {
	var list []array
	var end uint64
	total := 0
	m.eachWord(func(at, length uint64) {
		if length == 0 || length > maxName || at < end || total > maxTotal {
			return
		}
		variables, whole := m.variableArray(at)
		total += len(variables)
		if whole && len(variables) > 0 {
			list = append(list, array{at, variables})
			end = at + uint64(len(variables))*variableSize
		}
	})
	return m.notPointedTo(list)
}

// notPointedTo leaves out the arrays that data lead to. Instructions alone take the address of an array
// of variables; contexts and descriptions of modules (njs has its own), which begin with a name and
// two functions, are there to be pointed to.
func (m *image) notPointedTo(list []array) []array {
	targets := map[uint64]bool{}
	for _, a := range list {
		targets[a.at] = false
	}
	m.eachWord(func(at, target uint64) {
		if m.fixed || m.marked(at) {
			if _, ok := targets[target]; ok {
				targets[target] = true
			}
		}
	})
	return slices.DeleteFunc(list, func(a array) bool { return targets[a.at] })
}

// variableArray reads the array at that address: entry after entry up to one of zeros. That end is what
// tells it from other things that begin with a name and two functions; whole is false without it.
func (m *image) variableArray(at uint64) (list []Variable, whole bool) {
	for ; len(list) < maxVariables; at += variableSize {
		if m.isZero(at, variableSize) {
			return list, true
		}
		v, ok := m.variable(at)
		if !ok {
			break
		}
		list = append(list, v)
	}
	return list, false
}

func (m *image) isZero(at, n uint64) bool {
	for end := at + n; at < end; at += wordSize {
		if w, ok := m.number(at); !ok || w != 0 {
			return false
		}
	}
	return true
}

func (m *image) variable(at uint64) (Variable, bool) {
	length, ok := m.number(at)
	if !ok || length == 0 || length > maxName {
		return Variable{}, false
	}
	text, ok := m.pointer(at + variableText)
	if !ok || text == 0 {
		return Variable{}, false
	}
	set, okSet := m.pointer(at + variableSet)
	get, okGet := m.pointer(at + variableGet)
	flags, okFlags := m.number(at + variableFlags)
	index, okIndex := m.number(at + variableIndex)
	if !okSet || !okGet || !okFlags || !okIndex || flags > knownFlags || index != 0 {
		return Variable{}, false
	}
	if set == 0 && get == 0 || set != 0 && !m.isCode(set) || get != 0 && !m.isCode(get) {
		return Variable{}, false
	}
	name, ok := m.text(text, length)
	if !ok || !isVariableName(name) {
		return Variable{}, false
	}
	return Variable{name, flags&prefixFlag != 0}, true
}

// isVariableName tells whether a module would name a variable so: nginx compares in lower case.
func isVariableName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return name != ""
}

// variables gives each module its variables, and the table those whose module is not sure.
func (m *image) variables(list []uint64, l layout, t *Table) {
	arrays := m.variableArrays()
	if len(arrays) == 0 {
		return
	}
	owners := make([]int, len(arrays)) // of each array: the module, or one of the two below
	const nobody, several = -1, -2
	for i := range owners {
		owners[i] = nobody
	}
	if len(list) == 1 {
		clear(owners) // there is nobody else
	} else {
		w := m.newWalk(arrays)
		for module, at := range list {
			for i := range w.reached(m.functionsOf(at, l)) {
				if owners[i] == nobody {
					owners[i] = module
				} else {
					owners[i] = several
				}
			}
		}
	}
	for i, a := range arrays {
		if owners[i] < 0 {
			t.Variables = append(t.Variables, a.variables...)
			continue
		}
		owner := &t.Modules[owners[i]]
		owner.Variables = append(owner.Variables, a.variables...)
	}
}

// functionsOf lists the functions in which a module adds its variables: the first two of
// ngx_http_module_t and of ngx_stream_module_t are preconfiguration and postconfiguration.
func (m *image) functionsOf(module uint64, l layout) []uint64 {
	var list []uint64
	context, ok := m.pointer(module + l.context())
	if !ok || context == 0 {
		return nil
	}
	if kind := m.moduleType(module, l); kind != HTTP && kind != Stream {
		return nil
	}
	for i := range uint64(2) {
		if p, ok := m.pointer(context + i*wordSize); ok && p != 0 && p != imported && m.isCode(p) {
			list = append(list, p)
		}
	}
	return list
}
