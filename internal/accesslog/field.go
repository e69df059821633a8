package accesslog

import "slices"

// Field is a part of a Record that a format may tell or not.
type Field uint8

// The fields of a Record.
const (
	FieldStatus Field = iota
	FieldPID
	FieldTime
	FieldRequestTime
	FieldUpstreamTime
	FieldUpstreamStatus
	FieldBytes
	FieldURI
	FieldHost
	FieldUserAgent
	fields
)

// reading is how the text of a variable becomes part of a Record.
type reading uint8

const (
	readNothing reading = iota
	readStatus
	readPID
	readTimeLocal
	readTimeISO
	readMsec
	readRequestTime
	readUpstreamTime
	readUpstreamTries // the times, and the failures which their number shows
	readUpstreamStatus
	readBytes
	readRequest
	readURI
	readHost
	readUserAgent
)

// teller is a variable that tells a field.
type teller struct {
	variable string
	read     reading
}

// tellers are the variables that tell a field, the best first: $uri may be that of an error page,
// $bytes_sent counts the headers, $time_local is the shortest.
var tellers = [fields][]teller{
	FieldStatus:         {{"status", readStatus}},
	FieldPID:            {{"pid", readPID}},
	FieldTime:           {{"time_local", readTimeLocal}, {"time_iso8601", readTimeISO}, {"msec", readMsec}},
	FieldRequestTime:    {{"request_time", readRequestTime}},
	FieldUpstreamTime:   {{"upstream_response_time", readUpstreamTime}},
	FieldUpstreamStatus: {{"upstream_status", readUpstreamStatus}},
	FieldBytes:          {{"body_bytes_sent", readBytes}, {"bytes_sent", readBytes}},
	FieldURI:            {{"request_uri", readURI}, {"request", readRequest}, {"uri", readURI}},
	FieldHost:           {{"host", readHost}, {"http_host", readHost}, {"server_name", readHost}},
	FieldUserAgent:      {{"http_user_agent", readUserAgent}},
}

// assign decides which variable fills which field: of those that the format has, the best, and of
// several of one name the first.
func (f *Format) assign() {
	for field, candidates := range tellers {
		for _, c := range candidates {
			at := slices.IndexFunc(f.ops, func(o op) bool { return o.name == c.variable })
			if at >= 0 {
				f.ops[at].read = c.read
				f.tells[field] = true
				break
			}
		}
	}
	if f.tells[FieldUpstreamStatus] {
		return
	}
	for i := range f.ops {
		if f.ops[i].read == readUpstreamTime {
			f.ops[i].read = readUpstreamTries
		}
	}
}

// Tells is whether lines of the format tell a field.
func (f *Format) Tells(field Field) bool { return f.tells[field] }

// Tells is whether lines of every one of the formats tell a field.
func (fs Formats) Tells(field Field) bool {
	return !slices.ContainsFunc(fs, func(f *Format) bool { return !f.Tells(field) })
}

// fill writes what the text of a variable says into r.
func (how reading) fill(r *Record, text []byte) {
	switch how {
	case readStatus:
		r.Status = int(integer(text))
	case readPID:
		r.PID = pidOf(text)
	case readTimeLocal:
		r.Time = unixLocal(text)
	case readTimeISO:
		r.Time = unixISO(text)
	case readMsec:
		r.Time = unixMsec(text)
	case readRequestTime:
		r.RequestTime = millis(text)
	case readUpstreamTime:
		r.UpstreamTime, _ = triesOf(text)
	case readUpstreamTries:
		r.UpstreamTime, r.UpstreamFailures = triesOf(text)
	case readUpstreamStatus:
		r.UpstreamFailures = failuresOf(text)
	case readBytes:
		r.Bytes = integer(text)
	case readRequest:
		r.Request = text
	case readURI:
		r.Target = text
	case readHost:
		r.Host = text
	case readUserAgent:
		r.UserAgent = text
	}
}
