package artifact

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// listing is a manifest's files as the tree that they make.
type listing struct {
	order []File
	files map[string]File
	dirs  map[string]bool // that hold something
}

var fileHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// newListing checks each file by itself, and that together they are a tree: sorted, none twice,
// nothing below a file or a link.
func newListing(files []File) (listing, error) {
	l := listing{order: files, files: make(map[string]File, len(files)), dirs: map[string]bool{}}
	if len(files) > maxFiles {
		return l, refuse("files", RuleSize, "%d of them, %d are allowed", len(files), maxFiles)
	}
	var total int64
	for i, f := range files {
		if err := f.check(); err != nil {
			return l, err
		}
		if total += f.Size; total > maxTree {
			return l, refuse(f.Path, RuleSize, "with it the tree has more than %d bytes", maxTree)
		}
		if i > 0 && files[i-1].Path == f.Path {
			return l, refuse(f.Path, RuleListed, "it is listed twice")
		}
		if i > 0 && files[i-1].Path > f.Path {
			return l, refuse(f.Path, RuleListed, "it is listed after %s: the list is not sorted", files[i-1].Path)
		}
		l.files[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "." && !l.dirs[dir]; dir = path.Dir(dir) {
			if parent, listed := l.files[dir]; listed {
				return l, refuse(f.Path, RuleParent, "%s is %s", dir, parent.kind())
			}
			l.dirs[dir] = true
		}
	}
	return l, nil
}

// check checks one file as its manifest lists it.
func (f File) check() error {
	if err := checkName(f.Path, f.Path); err != nil {
		return err
	}
	if err := checkMode(f.Path, f.Mode); err != nil {
		return err
	}
	if f.Size < 0 || f.Size > maxFile {
		return refuse(f.Path, RuleSize, "it has %d bytes, %d are allowed", f.Size, maxFile)
	}
	switch {
	case f.Link != "" && (f.SHA256 != "" || f.Size != 0 || f.Mode != linkMode):
		return refuse(f.Path, RuleType, "it is a link and has content or a mode")
	case f.Link != "":
		return checkTarget(f)
	case f.SHA256 == "" && (f.Size != 0 || f.Mode != dirMode):
		return refuse(f.Path, RuleType, "it is a directory and has content or another mode than %v", dirMode)
	case f.SHA256 == "":
		return nil
	case !fileHash.MatchString(f.SHA256):
		return refuse(f.Path, RuleContent, "%s is not a SHA-256 in hexadecimal digits", printable(f.SHA256))
	}
	return checkFileMode(f.Path, f.Mode)
}

// kind names what the entry is, for people.
func (f File) kind() string {
	switch {
	case f.Link != "":
		return "a link"
	case f.SHA256 == "":
		return "listed as an empty directory"
	}
	return "a file"
}

func checkTarget(f File) error {
	if len(f.Link) > maxName || firstOdd(f.Link) >= 0 {
		return refuse(f.Path, RuleLink, "its target is not printable UTF-8 of at most %d bytes", maxName)
	}
	return nil
}

// checkLinks demands that each link leads to something in the tree, an absolute one as if the tree
// were the root (OpenResty's bin/openresty names the binary by its full path); and a link under the
// prefix to something under the prefix, since only that is on the host.
func (l listing) checkLinks(prefix string) error {
	for _, f := range l.order {
		if f.Link == "" {
			continue
		}
		inside := ""
		if prefix != "" && within(f.Path, prefix) {
			inside = prefix
		}
		if err := l.follow(f, inside); err != nil {
			return err
		}
	}
	return nil
}

// follow walks from the link to what it leads to, through all links on the way, as the kernel does.
func (l listing) follow(link File, inside string) error {
	at := path.Dir(link.Path)
	todo := strings.Split(link.Link, "/")
	if path.IsAbs(link.Link) {
		at = "."
	}
	hops := 0
	for steps := 0; len(todo) > 0; steps++ {
		if steps > maxSteps {
			return refuse(link.Path, RuleLink, "it leads to %s in more than %d steps", link.Link, maxSteps)
		}
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return refuse(link.Path, RuleLink, "it leads to %s, which is not in the tree", link.Link)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		if inside != "" && !within(next, inside) && !within(inside, next) {
			return refuse(link.Path, RuleLink, "it leads to %s by way of /%s, which is not under the prefix /%s", link.Link, next, inside)
		}
		f, listed := l.files[next]
		switch {
		case listed && f.Link != "":
			if hops++; hops > maxHops {
				return refuse(link.Path, RuleLink, "it leads to %s through more than %d links: a circle", link.Link, maxHops)
			}
			todo = slices.Concat(strings.Split(f.Link, "/"), todo)
			if path.IsAbs(f.Link) {
				at = "."
			}
		case listed && f.SHA256 != "" && len(todo) > 0, !listed && !l.dirs[next]:
			return refuse(link.Path, RuleLink, "it leads to %s, which is not in the tree", link.Link)
		default:
			at = next
		}
	}
	if inside != "" && !within(at, inside) {
		return refuse(link.Path, RuleLink, "it leads to %s, which is not under the prefix /%s", link.Link, inside)
	}
	return nil
}
