package route

// normaliseHost is the name that nginx looks a Host header up by: lower case, without port and
// trailing dot (ngx_http_validate_host). ok is false for one that nginx answers 400 to.
func normaliseHost(host string) (name string, ok bool) {
	end, dot, literal, rest := len(host), len(host), false, false
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c == '.':
			if dot == i-1 {
				return "", false
			}
			dot = i
		case c == ':':
			if !literal && !rest {
				end, rest = i, true
			}
		case c == '[':
			literal = literal || i == 0
		case c == ']':
			if literal {
				end, literal, rest = i+1, false, true
			}
		case c == '/', c <= 0x20, c == 0x7f:
			return "", false
		}
	}
	if dot == end-1 {
		end--
	}
	if end <= 0 {
		return "", false
	}
	return lower(host[:end]), true
}

// lower is for ASCII only, as ngx_strlow.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
