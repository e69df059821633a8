package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// OpenPGP packet types, RFC 9580, section 5.
const (
	tagSignature     = 2
	tagSecretKey     = 5
	tagPublicKey     = 6
	tagSecretSubkey  = 7
	tagMarker        = 10
	tagTrust         = 12
	tagUserID        = 13
	tagPublicSubkey  = 14
	tagUserAttribute = 17
)

var errNoPackets = errors.New("holds nothing of OpenPGP")

// readPackets splits what an OpenPGP file holds, binary or armored, several armored blocks after
// each other included. Text around the blocks is of no account. Errors: errNoPackets.
func readPackets(data []byte) ([]*packet.OpaquePacket, error) {
	if len(data) > 0 && data[0]&0x80 != 0 {
		return splitPackets(data)
	}
	var all []*packet.OpaquePacket
	for _, block := range armoredBlocks(data) {
		decoded, err := armor.Decode(bytes.NewReader(block))
		if err != nil {
			return nil, fmt.Errorf("the armor is damaged: %w", err)
		}
		body, err := io.ReadAll(decoded.Body)
		if err != nil {
			return nil, fmt.Errorf("the armor is damaged: %w", err)
		}
		packets, err := splitPackets(body)
		if err != nil {
			return nil, err
		}
		all = append(all, packets...)
	}
	if len(all) == 0 {
		return nil, errNoPackets
	}
	return all, nil
}

// armoredBlocks cuts data before each line that begins a block: the decoder stops after the first.
func armoredBlocks(data []byte) [][]byte {
	begin := []byte("-----BEGIN PGP ")
	var blocks [][]byte
	var block []byte
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, begin) {
			if block != nil {
				blocks = append(blocks, block)
			}
			block = []byte{}
		}
		if block != nil {
			block = append(block, line...)
		}
	}
	if block != nil {
		blocks = append(blocks, block)
	}
	return blocks
}

func splitPackets(data []byte) ([]*packet.OpaquePacket, error) {
	var packets []*packet.OpaquePacket
	for r := packet.NewOpaqueReader(bytes.NewReader(data)); ; {
		p, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && p == nil:
			return packets, nil
		case err != nil:
			return nil, fmt.Errorf("packet %d is damaged: %w", len(packets)+1, err)
		}
		packets = append(packets, p)
	}
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := openToRead(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrTooLarge, limit)
	}
	return data, nil
}
