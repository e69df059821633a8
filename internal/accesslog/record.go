package accesslog

// Record is what one line of an access log tells, as far as its format does. Slices are parts of the
// line and are valid as long as it is.
type Record struct {
	Time        int64 // of the end of the request, Unix seconds; 0: not told
	Status      int
	PID         int   // of the worker ($pid); 0: not told
	RequestTime int32 // $request_time in ms; -1: not told
	// UpstreamTime is the sum of $upstream_response_time over all tries, in ms; -1: not told, or no
	// upstream was asked.
	UpstreamTime int32
	// UpstreamFailures is how many tries of $upstream_status were not answered, or with 5xx, or, in a
	// format without it, how many the lists of times show to have failed before the last.
	UpstreamFailures uint8
	Bytes            int64  // $body_bytes_sent or $bytes_sent; -1: not told
	Target           []byte // $request_uri or $uri, with arguments; nil: not told
	Request          []byte // $request, in a format that tells the URI with nothing else; nil: not told
	Host             []byte // $host, $http_host or $server_name; nil: not told
	UserAgent        []byte // as logged; nil: not told
}

// untold is a Record of a line that tells nothing.
var untold = Record{RequestTime: -1, UpstreamTime: -1, Bytes: -1}

// URI is the path of the request's URI, without arguments, escapes as logged; nil: not told. To cut it out costs
// an eighth of reading the line: it is done when it is asked for.
func (r *Record) URI() []byte {
	if r.Target != nil {
		return pathOf(r.Target)
	}
	return pathOfRequest(r.Request)
}

// Is5xx tells whether the server was at fault.
func (r *Record) Is5xx() bool { return r.Status >= 500 && r.Status <= 599 }
