package probe

import (
	"encoding/binary"
	"strings"
)

const healthCheck = "/grpc.health.v1.Health/Check"

// grpcCall is the path of a call and its message, framed: see [ParseURL] for what a target's path
// stands for.
func grpcCall(path string) (method string, frame []byte) {
	name := strings.TrimPrefix(path, "/")
	if strings.Contains(name, "/") {
		return path, grpcFrame(nil)
	}
	if name == "" {
		return healthCheck, grpcFrame(nil)
	}
	// HealthCheckRequest{service = 1: string}, as protobuf writes it.
	message := append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(name)))...)
	return healthCheck, grpcFrame(append(message, name...))
}

// grpcFrame puts the length before a message, which is not compressed.
func grpcFrame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}
