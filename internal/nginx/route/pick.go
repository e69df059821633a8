package route

import "strings"

// negotiate chooses the server before a request is read: by SNI. name is what was asked for, if
// some server has it.
func (s *Socket) negotiate(req Request, c *Choice) (server *Server, name string) {
	if req.TLS && req.SNI != "" {
		if name, ok := normaliseHost(req.SNI); ok {
			if e, found := s.lookup(name, c); found {
				c.Name = e.name
				return e.server, name
			}
		}
	}
	return s.Default, ""
}

// pick chooses the server by the host.
func (s *Socket) pick(req Request, first *Server, negotiated string, c *Choice) *Server {
	host := req.Host
	if absolute := hostOf(req.Target); absolute != "" {
		host = absolute
	}
	if host == "" {
		c.Refused = "400: no Host"
		return nil
	}
	name, ok := normaliseHost(host)
	if !ok {
		c.Refused = "400: invalid Host"
		return nil
	}
	if name == negotiated {
		return first
	}
	if e, found := s.lookup(name, c); found {
		c.Name = e.name
		return e.server
	}
	c.Name = ""
	return s.Default // even where the name in the handshake belongs to another
}

func (s *Socket) lookup(name string, c *Choice) (named, bool) {
	if len(s.Servers) == 1 {
		return named{}, false
	}
	e, found, err := s.names.find(name)
	if err != nil && c.Unknown == "" {
		c.Unknown = err.Error()
	}
	return e, found
}

// pathOf is a target without the scheme and host of the absolute form.
func pathOf(target string) string {
	_, rest, ok := strings.Cut(target, "://")
	if !ok || strings.HasPrefix(target, "/") {
		return target
	}
	end := strings.IndexAny(rest, "/?#")
	switch {
	case end < 0:
		return "/"
	case rest[end] == '/':
		return rest[end:]
	}
	return "/" + rest[end:]
}

func hostOf(target string) string {
	_, rest, ok := strings.Cut(target, "://")
	if !ok || strings.HasPrefix(target, "/") {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}
