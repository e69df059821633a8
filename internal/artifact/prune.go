package artifact

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/durable"
)

// Policy says which artifacts may go.
type Policy struct {
	// InUse tells why an artifact has to stay, empty if it need not. binary is the hash of its nginx
	// binary, empty if its manifest cannot be read.
	InUse func(id, binary string) string
	Keep  int           // so many of the others stay, the last stored first
	Older time.Duration // younger ones stay
}

// Pruning is what a prune removes and what it leaves, by its policy.
type Pruning struct {
	Remove     []Pruned `json:"remove"`
	Keep       []Pruned `json:"keep"`
	Builds     []string `json:"builds"`     // remembered builds whose artifact is not, or no longer, there
	Unfinished []Pruned `json:"unfinished"` // what dead processes left half written or half removed
	Bytes      int64    `json:"bytes"`      // that all of this frees
	Done       bool     `json:"done"`       // false: it was only looked at
}

// Pruned is one directory of the store.
type Pruned struct {
	ID     string    `json:"id,omitempty"` // empty for what is unfinished
	Name   string    `json:"name"`
	Dir    string    `json:"dir"`
	Stored time.Time `json:"stored"` // when this host got it
	Bytes  int64     `json:"bytes"`
	Why    string    `json:"why"` // it goes or stays
	binary string
}

// Survey tells what Prune would do. It changes nothing.
func (s *Store) Survey(p Policy) (Pruning, error) {
	n := Pruning{Remove: []Pruned{}, Keep: []Pruned{}, Builds: []string{}, Unfinished: []Pruned{}}
	all, err := s.stored()
	if err != nil {
		return n, err
	}
	kept := 0
	for _, a := range all {
		age := time.Since(a.Stored)
		switch used := p.InUse(a.ID, a.binary); {
		case used != "":
			a.Why = used
		case kept < p.Keep:
			kept++
			a.Why = fmt.Sprintf("it is among the last %d that nothing uses", p.Keep)
		case age < p.Older:
			a.Why = fmt.Sprintf("it is younger than %s", p.Older)
		default:
			a.Why = "nothing uses it"
			n.Remove = append(n.Remove, a)
			n.Bytes += a.Bytes
			continue
		}
		n.Keep = append(n.Keep, a)
	}
	if n.Builds, err = s.leadingNowhere(n.Remove); err != nil {
		return n, err
	}
	if n.Unfinished, err = s.unfinished(); err != nil {
		return n, err
	}
	for _, u := range n.Unfinished {
		n.Bytes += u.Bytes
	}
	return n, nil
}

// Prune removes what the survey found, as far as it still is so. Each artifact disappears by one rename.
func (s *Store) Prune(ctx context.Context, n Pruning) error {
	if len(n.Remove)+len(n.Builds)+len(n.Unfinished) == 0 {
		return nil
	}
	gone, err := s.setAside(ctx, n)
	// What was set aside goes, whatever else happened.
	for _, dir := range gone {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return fmt.Errorf("prune artifacts: %w", err)
	}
	return s.forget(n.Builds, n.Remove)
}

// setAside gives all that goes a name under which nobody looks for it, under the store's lock, so that no
// draft that is just being made is taken for one that was left.
func (s *Store) setAside(ctx context.Context, n Pruning) (gone []string, err error) {
	store, err := lockDir(ctx, s.artifacts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	for _, u := range n.Unfinished {
		lock, err := tryLockDir(u.Dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && lock == nil {
			continue // removed meanwhile, or somebody else is at it
		}
		if err != nil {
			return gone, err
		}
		defer lock.Close()
		gone = append(gone, u.Dir)
	}
	if len(n.Remove) == 0 {
		return gone, nil
	}
	for _, a := range n.Remove {
		// A new name beside, and no directory to put it in: on a full disk none could be made.
		aside := filepath.Join(s.artifacts, gonePrefix+a.ID+"-"+rand.Text())
		err := os.Rename(a.Dir, aside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return gone, err
		}
		gone = append(gone, aside)
	}
	return gone, durable.SyncDir(s.artifacts)
}

// stored lists all artifacts, readable or not, the last stored first.
func (s *Store) stored() ([]Pruned, error) {
	list, broken, err := s.List()
	if err != nil {
		return nil, err
	}
	all := make([]Pruned, 0, len(list)+len(broken))
	for _, a := range list {
		sum, err := a.BinarySHA256()
		if err != nil {
			return nil, err
		}
		all = append(all, Pruned{ID: a.Manifest.ID, Name: a.Manifest.Name, Dir: a.Dir, binary: sum})
	}
	for _, b := range broken {
		all = append(all, Pruned{ID: b.ID, Name: "(cannot be read)", Dir: b.Dir})
	}
	for i := range all {
		if err := all[i].measure(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b Pruned) int { return b.Stored.Compare(a.Stored) })
	return all, nil
}

// measure finds out when the directory was written and how much it holds. What vanishes meanwhile
// holds nothing.
func (p *Pruned) measure() error {
	return filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		// The manifest is written last. A directory's time changes with its entries, at the rename too.
		if path == p.Dir || path == filepath.Join(p.Dir, manifestName) {
			p.Stored = info.ModTime()
		}
		if info.Mode().IsRegular() {
			p.Bytes += info.Size()
		}
		return nil
	})
}

// unfinished lists what nobody is writing or removing any more.
func (s *Store) unfinished() ([]Pruned, error) {
	left := []Pruned{}
	entries, err := os.ReadDir(s.artifacts)
	if errors.Is(err, fs.ErrNotExist) {
		return left, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		draft := strings.HasPrefix(e.Name(), draftPrefix)
		if !e.IsDir() || !draft && !strings.HasPrefix(e.Name(), gonePrefix) {
			continue
		}
		u := Pruned{Name: e.Name(), Dir: filepath.Join(s.artifacts, e.Name()), Why: "the process that wrote it is gone"}
		if !draft {
			u.Why = "an earlier prune did not get to its end"
		}
		lock, err := tryLockDir(u.Dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && lock == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := errors.Join(u.measure(), lock.Close()); err != nil {
			return nil, err
		}
		left = append(left, u)
	}
	return left, nil
}

// And is what both surveys found: what was shown and still is so.
func (n Pruning) And(later Pruning) Pruning {
	both := later
	both.Bytes = 0
	in := func(list []Pruned) func(Pruned) bool {
		return func(p Pruned) bool { return !slices.ContainsFunc(list, func(o Pruned) bool { return o.Dir == p.Dir }) }
	}
	both.Remove = slices.DeleteFunc(slices.Clone(n.Remove), in(later.Remove))
	both.Unfinished = slices.DeleteFunc(slices.Clone(n.Unfinished), in(later.Unfinished))
	both.Builds = slices.DeleteFunc(slices.Clone(n.Builds), func(key string) bool { return !slices.Contains(later.Builds, key) })
	for _, p := range slices.Concat(both.Remove, both.Unfinished) {
		both.Bytes += p.Bytes
	}
	return both
}
