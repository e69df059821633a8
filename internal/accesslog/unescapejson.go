package accesslog

import "strconv"

// jsonEscapes are those that nginx writes with escape=json, but for \u00XX.
var jsonEscapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}

// unescapeJSON takes back escape=json. No JSON decoder can: nginx leaves bytes as they are that are no
// UTF-8, and a decoder would replace them.
func unescapeJSON(text []byte) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		i++
		if text[i] == 'u' && i+4 < len(text) {
			if c, err := strconv.ParseUint(string(text[i+1:i+5]), 16, 8); err == nil {
				out = append(out, byte(c))
				i += 4
				continue
			}
		}
		if c, ok := jsonEscapes[text[i]]; ok {
			out = append(out, c)
		} else {
			out = append(out, text[i])
		}
	}
	return string(out)
}
