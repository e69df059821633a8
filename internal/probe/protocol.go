package probe

// Protocol is what is spoken on a connection, behind TLS where the target has it. The zero value is
// HTTP/1.1.
type Protocol string

// The protocols.
const (
	OverHTTP1     Protocol = ""
	OverHTTP2     Protocol = "h2" // without TLS by prior knowledge ("h2c")
	OverHTTP3     Protocol = "h3"
	OverWebSocket Protocol = "websocket" // a handshake, then a ping or a text that is echoed
	OverGRPC      Protocol = "grpc"      // a unary call
	OverTCP       Protocol = "tcp"       // bytes: to connect is enough where nothing is sent or expected
)

// Header is one line of a head.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (p Protocol) alpn() string {
	switch p {
	case OverHTTP2, OverGRPC:
		return alpnH2
	case OverHTTP3:
		return alpnH3
	case OverTCP:
		return ""
	}
	return alpnHTTP1
}

// String is the name for people.
func (p Protocol) String() string {
	switch p {
	case OverHTTP1:
		return "HTTP/1.1"
	case OverHTTP2:
		return "HTTP/2"
	case OverHTTP3:
		return "HTTP/3"
	case OverWebSocket:
		return "WebSocket"
	case OverGRPC:
		return "gRPC"
	case OverTCP:
		return "TCP"
	}
	return string(p)
}
