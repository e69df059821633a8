package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/durable"
	"graft/internal/gate"
	"graft/internal/nginx"
	"graft/internal/pkgmanager"
	"graft/internal/preflight"
	"graft/internal/procfs"
)

// Plan is one migration of one instance to one artifact, made on one state of the host.
type Plan struct {
	ID          string            `json:"id"` // hash of all the rest
	Created     time.Time         `json:"created"`
	Fingerprint string            `json:"fingerprint"` // of Facts: equal means that nothing the plan rests on changed
	Facts       map[string]string `json:"facts"`       // what the fingerprint is made of, by name
	Instance    json.RawMessage   `json:"instance"`    // as `graft inspect -o json` shows it
	Target      Target            `json:"target"`
	Checks      []preflight.Check `json:"checks"`
	Steps       []Step            `json:"steps"`
	Old         Old               `json:"old"`
	Returns     string            `json:"returns,omitempty"` // the finished migration that this one takes back
	// WithoutPID are log formats that do not tell the old workers' requests from the new ones'.
	WithoutPID []gate.WithoutPID `json:"without_pid,omitempty"`
	// Blind is what the gates will not see of the logs, and what follows; nil: nothing.
	Blind *gate.Blind `json:"blind,omitempty"`
	// Guard keeps the package manager from the file; nil if no package owns it.
	Guard *pkgmanager.Guard `json:"package_guard,omitempty"`
}

// Target is the binary to come.
type Target struct {
	Artifact string       `json:"artifact"`
	Name     string       `json:"name"`
	Flavor   nginx.Flavor `json:"flavor"`
	Version  string       `json:"version"`
	SHA256   string       `json:"sha256"` // of the binary
	Prefix   string       `json:"prefix,omitempty"`
}

// Old is what apply has to know of the instance as it was when the plan was made.
type Old struct {
	BootID  string        `json:"boot_id"`
	Master  nginx.Process `json:"master"`
	Exe     nginx.Exe     `json:"exe"`
	Binary  string        `json:"binary"` // the file to replace: what argv[0] leads to, links followed
	Argv    []string      `json:"argv"`
	Cwd     string        `json:"cwd"`
	PidFile string        `json:"pid_file"`
	Conf    string        `json:"conf"`
	Unit    string        `json:"unit,omitempty"` // systemd's, if that supervises it
	Workers int           `json:"workers"`        // that accept
	ToCome  int           `json:"to_come"`        // workers that the configuration on disk asks for; 0: not known
	// Unserved are the inodes of sockets that no worker accepted on before anything was done.
	Unserved []uint64 `json:"unserved,omitempty"`
	// Streams: it listens on tcp or unix sockets. A master that has none left is quitting, while it
	// keeps its QUIC sockets to the end.
	Streams bool         `json:"streams"`
	Flavor  nginx.Flavor `json:"flavor"`
	Version string       `json:"version"`
}

// fewest is how many workers there are at least once a master is up. Right after a reload more may
// have been seen.
func (o Old) fewest() int {
	if o.ToCome > 0 {
		return min(o.Workers, o.ToCome)
	}
	return o.Workers
}

func (o *Old) setSockets(pfs procfs.FS, i nginx.Instance) error {
	served, err := served(pfs, nginx.Tree{Workers: i.Workers}.Accepting())
	if err != nil {
		return err
	}
	for _, l := range i.Listen {
		o.Streams = o.Streams || l.Network != "udp"
		if !served[l.Inode] {
			o.Unserved = append(o.Unserved, l.Inode)
		}
	}
	if len(o.Unserved) == len(i.Listen) {
		o.Unserved = nil // accept_mutex, between two workers: nothing is known
	}
	return nil
}

// Step is one line of the plan for people: what is done, to whom, and the runbook's number for it.
type Step struct {
	Action Action `json:"action"`
	Does   string `json:"does"`
	Signal string `json:"signal,omitempty"`
	To     string `json:"to,omitempty"`
	Path   string `json:"path,omitempty"`
	Ends   Phase  `json:"ends,omitempty"` // the phase that it ends in
}

// NewPlan lays out the migration of an instance to an artifact. It reads the host and changes nothing.
func NewPlan(pfs procfs.FS, i nginx.Instance, a artifact.Artifact, checks []preflight.Check) (Plan, error) {
	boot, err := pfs.BootID()
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	sum, err := a.BinarySHA256()
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	shown, err := json.Marshal(i)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	m := a.Manifest
	p := Plan{
		Created:  time.Now().UTC().Truncate(time.Second),
		Instance: shown,
		Target:   Target{Artifact: m.ID, Name: m.Name, Flavor: m.Flavor, Version: m.Version, SHA256: sum, Prefix: m.Prefix},
		Checks:   checks,
		Old: Old{
			BootID: boot, Master: i.Master, Exe: i.Exe, Binary: binaryPath(i), Argv: i.Argv, Cwd: i.Cwd,
			PidFile: i.Paths.Pid, Conf: i.Paths.Conf, Workers: i.Accepting(), ToCome: i.WorkersToCome(pfs),
			Flavor: i.Build.Flavor, Version: i.Build.Version,
		},
	}
	if err := p.Old.setSockets(pfs, i); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	if i.Supervisor.Kind == "systemd" {
		p.Old.Unit = i.Supervisor.Unit
	}
	p.WithoutPID, p.Blind = gate.NeedsPID(i), gate.BlindTo(i)
	p.Facts = facts(boot, i, p.Old.Binary, p.Target)
	p.Fingerprint = fingerprint(p.Facts)
	p.Steps = steps(p)
	if p.ID, err = p.hash(); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// Guarded is the plan with a guard against the package manager, which its steps tell of.
func (p Plan) Guarded(g pkgmanager.Guard) (Plan, error) {
	measures := g.Measures()
	if len(measures) == 0 {
		return p, nil
	}
	p.Guard = &g
	var guard []Step
	for _, m := range measures {
		guard = append(guard, Step{Action: Stage, Does: m.Does, Path: m.Path})
	}
	p.Steps = append(guard, p.Steps...)
	if g.Needrestart {
		p.Steps = append(p.Steps, Step{Action: Unguard, Does: "needrestart may look at the binary again"})
	}
	if stays := g.Stays(); stays != "" {
		p.Steps = append(p.Steps, Step{Action: Stop, Does: stays})
	}
	id, err := p.hash()
	if err != nil {
		return p, fmt.Errorf("plan: %w", err)
	}
	p.ID = id
	return p, nil
}

// hash names the plan by its content.
func (p Plan) hash() (string, error) {
	p.ID = ""
	data, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6]), nil
}

// binaryPath is the file that a swap replaces. A path that does not lead anywhere is kept: the
// preflight has said so.
func binaryPath(i nginx.Instance) string {
	path, _ := i.Executable()
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func facts(boot string, i nginx.Instance, binary string, t Target) map[string]string {
	f := map[string]string{
		"boot":                boot,
		"master":              fmt.Sprintf("%d started at %d", i.Master.PID, i.Master.StartTime),
		"running binary":      fmt.Sprintf("%s (device %d, inode %d)", i.Exe.SHA256, i.Exe.Dev, i.Exe.Inode),
		"pid file":            fmt.Sprintf("%s holds %d", i.PidFile.Path, i.PidFile.Holds),
		"target":              t.Artifact,
		"listening sockets":   listening(i),
		"upgrade in progress": fmt.Sprintf("old master %d, new master %d", i.OldMaster, i.NewMaster),
	}
	f["file "+binary] = content(binary)
	if i.ConfigError != nil {
		f["configuration"] = i.ConfigError.Error()
	} else {
		for _, file := range i.Config.Files {
			f["file "+file.Path] = file.SHA256
		}
		for _, path := range i.Config.Reads(i.Paths.Prefix) { // what was rehearsed answers by them
			f["read "+path] = content(path)
		}
	}
	return f
}

// content is a file's hash, or why there is none.
func content(path string) string {
	sum, err := procfs.SHA256(path)
	if err != nil {
		return err.Error()
	}
	return sum
}

func listening(i nginx.Instance) string {
	var list []string
	for _, l := range i.Listen {
		list = append(list, fmt.Sprintf("%s %s inode %d", l.Network, l.Addr, l.Inode))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func fingerprint(facts map[string]string) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		fmt.Fprintf(sum, "%q=%q\n", name, facts[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// StaleError says that the host is no longer the one that the plan was made on.
type StaleError struct {
	Plan    string
	Changed []string
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("plan %s is stale: since it was made, %s", e.Plan, strings.Join(e.Changed, "; "))
}

// CheckFresh compares the host with the one that the plan was made on; the error is a *StaleError.
func (p Plan) CheckFresh(pfs procfs.FS, i nginx.Instance) error {
	boot, err := pfs.BootID()
	if err != nil {
		return fmt.Errorf("check plan %s: %w", p.ID, err)
	}
	now := facts(boot, i, binaryPath(i), p.Target)
	if fingerprint(now) == p.Fingerprint {
		return nil
	}
	stale := &StaleError{Plan: p.ID}
	for _, name := range slices.Sorted(maps.Keys(p.Facts)) {
		if now[name] != p.Facts[name] {
			stale.Changed = append(stale.Changed, fmt.Sprintf("%s changed (was %s, is %s)", name, orNone(p.Facts[name]), orNone(now[name])))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, ok := p.Facts[name]; !ok {
			stale.Changed = append(stale.Changed, name+" is new")
		}
	}
	return stale
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func steps(p Plan) []Step {
	old := fmt.Sprintf("old master %d", p.Old.Master.PID)
	return []Step{
		{Action: Stage, Does: "back up the running binary from /proc, place the runtime", Path: p.Target.Prefix, Ends: Staged},
		{Action: Swap, Does: fmt.Sprintf("write %s beside, fsync, rename over the old binary", p.Target.Name), Path: p.Old.Binary, Ends: Swapped},
		{Action: Start, Does: "start the new binary on the inherited sockets; pid file becomes " + nginx.OldBin(p.Old.PidFile), Signal: string(nginx.USR2), To: old},
		{Action: Verify, Does: fmt.Sprintf("the new master is the old one's child, has %d workers and all sockets, answers on every address", p.Old.fewest()), Ends: Overlap},
		{Action: Watch, Does: "gate: both serve the same traffic"},
		{Action: Park, Does: "old workers finish their connections and leave; the old master keeps the sockets", Signal: string(nginx.WINCH), To: old, Ends: Parked},
		{Action: Watch, Does: "gate: the new binary serves alone"},
		{Action: Finish, Does: "the old master ends", Signal: string(nginx.QUIT), To: old, Ends: Finished},
	}
}

// SavePlan writes the plan, named by its content, where only its owner reads it.
func SavePlan(path string, p Plan) error {
	var err error
	if p.ID, err = p.hash(); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	if err := durable.Replace("plan", path, strings.NewReader(string(data)+"\n"), durable.Private(0o600)); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// LoadPlan reads a plan and checks that its parts belong together.
func LoadPlan(path string) (Plan, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Plan{}, fmt.Errorf("load plan: %w; `graft plan --to … --out %s` makes one", err, path)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("load plan: %w", err)
	}
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return Plan{}, fmt.Errorf("load plan %s: %w: cut or edited; make it again with `graft plan`", path, err)
	}
	sum, err := p.hash()
	if err != nil {
		return Plan{}, fmt.Errorf("load plan %s: %w", path, err)
	}
	if p.ID != sum {
		return Plan{}, fmt.Errorf("load plan %s: it is not what `graft plan` wrote: cut or edited; make it again", path)
	}
	return p, nil
}

// Nothing tells whether the target runs already.
func (p Plan) Nothing() bool { return p.Old.Exe.SHA256 == p.Target.SHA256 }
