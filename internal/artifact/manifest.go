// Package artifact keeps built trees in a content-addressed store, and places them on a host: stage
// the runtime, back up the running binary, install the new one, put the old one back.
package artifact

import (
	"io/fs"

	"graft/internal/nginx"
)

// Manifest describes one artifact. Its ID is the SHA-256 (hex) of the manifest's canonical JSON with
// ID and Built empty, and the manifest holds the hash of every file: equal IDs mean equal trees.
type Manifest struct {
	Schema int    `json:"schema"` // 1
	ID     string `json:"id"`
	Name   string `json:"name"` // for people: "openresty 1.21.4.1", "openresty-equivalent 1.22.1 (debian 12)"

	Flavor  nginx.Flavor `json:"flavor"`
	Version string       `json:"version"`
	Build   nginx.Build  `json:"build"` // what the built binary says of itself

	// Binary is the nginx binary's path inside the tree, slash-separated, without a leading slash.
	Binary string `json:"binary"`
	// Prefix is the absolute directory on the host that the runtime (LuaJIT, lualib, bin) must lie
	// under; the tree holds it at the same path without the leading slash. Empty: the binary is all.
	Prefix string `json:"prefix,omitempty"`

	Source    Source   `json:"source"`
	Flags     []Flag   `json:"flags"`
	Libraries []string `json:"libraries"` // DT_NEEDED of the binary
	// Modules are those that the running configuration needs, and where each is in this artifact.
	Modules []Module `json:"modules,omitempty"`
	// Debug is the path in the tree of the binary's split debug symbols; empty if it has none.
	Debug string `json:"debug,omitempty"`
	Files []File `json:"files"` // sorted by path
	Built string `json:"built"` // RFC 3339, when it was built here or imported; not part of the ID
}

// Source says what was built.
type Source struct {
	Kind     string   `json:"kind"` // "tarball", "tree", "distro", "binary"
	Location string   `json:"location"`
	SHA256   string   `json:"sha256,omitempty"` // of the tarball, the tree's listing or the binary
	Packages []string `json:"packages,omitempty"`
	// Signature is what checking the source's signature came to; nil where there is none to check,
	// as for a tree or a binary.
	Signature *Signature `json:"signature,omitempty"`
}

// SignatureStatus is what checking a source's signature came to.
type SignatureStatus string

// What a signature can be. One that is bad is refused before anything is built.
const (
	SignatureGood    SignatureStatus = "good"    // by the key with the pinned fingerprint
	SignatureNone    SignatureStatus = "none"    // the source has none, and the user allowed that
	SignatureSkipped SignatureStatus = "skipped" // it was not looked at, because the user said so
)

// Signature is the detached signature over a source's tarball.
type Signature struct {
	Status      SignatureStatus `json:"status"`
	Fingerprint string          `json:"fingerprint,omitempty"` // of the key, 40 hexadecimal digits
	Created     string          `json:"created,omitempty"`     // RFC 3339, as the signature says
	Hash        string          `json:"hash,omitempty"`        // the algorithm it signs, "SHA-256"
}

// Module is one module that the running configuration needs.
type Module struct {
	Name   string `json:"name"`           // as nginx names it: "ngx_http_geoip_module"
	File   string `json:"file,omitempty"` // path in the tree of its .so; empty if it is built in
	Source string `json:"source"`         // where its code is from
	Reason string `json:"reason"`         // why it is here
}

// Action is what became of one configure flag of the old binary.
type Action string

// The four fates of a flag.
const (
	Keep    Action = "keep"
	Drop    Action = "drop"
	Rewrite Action = "rewrite"
	Add     Action = "add"
)

// Flag is one configure flag, what was done with it and why.
type Flag struct {
	Flag   string `json:"flag"`
	Action Action `json:"action"`
	To     string `json:"to,omitempty"` // for Rewrite
	Reason string `json:"reason"`
}

// File is one entry of the tree. A symbolic link has Link and no hash; a directory is listed only if empty.
type File struct {
	Path   string      `json:"path"` // slash-separated, relative to the tree
	Mode   fs.FileMode `json:"mode"` // permission bits
	Size   int64       `json:"size"`
	SHA256 string      `json:"sha256,omitempty"`
	Link   string      `json:"link,omitempty"`
}
