package conf

import "strings"

// Walk calls fn for every directive in the order nginx meets it, blocks before their content. If fn
// returns false, the block's content is passed over. Lines of data blocks (Data) are visited too.
func (c *Config) Walk(fn func(*Directive) bool) { walk(c.Directives, fn) }

func walk(ds []*Directive, fn func(*Directive) bool) {
	for _, d := range ds {
		if fn(d) {
			walk(d.Block, fn)
		}
	}
}

// Find lists the directives of these names in every context, in order.
func (c *Config) Find(names ...string) []*Directive {
	var found []*Directive
	c.Walk(func(d *Directive) bool {
		if d.Data {
			return false
		}
		for _, name := range names {
			if d.Name == name {
				found = append(found, d)
				break
			}
		}
		return true
	})
	return found
}

func first(ds []*Directive, name string) *Directive {
	for _, d := range ds {
		if d.Name == name && !d.Data {
			return d
		}
	}
	return nil
}

// Value is the argument of a directive of the main context (pid, worker_processes, lock_file, …) as
// written, or "" if it is not set; nginx's default holds then.
func (c *Config) Value(name string) string {
	if d := first(c.Directives, name); d != nil {
		return d.Arg(0)
	}
	return ""
}

// Daemon tells whether nginx detaches itself (directive daemon, on by default).
func (c *Config) Daemon() bool { return !strings.EqualFold(c.Value("daemon"), "off") }

// MasterProcess tells whether there are a master and workers (master_process, on by default).
func (c *Config) MasterProcess() bool { return !strings.EqualFold(c.Value("master_process"), "off") }

// User is the workers' user and group as the user directive names them; both empty if it is not
// set. nginx takes the user's name for the group if only one is given.
func (c *Config) User() (user, group string) {
	d := first(c.Directives, "user")
	if d == nil {
		return "", ""
	}
	user, group = d.Arg(0), d.Arg(1)
	if group == "" {
		group = user
	}
	return user, group
}

// Env lists the env directives' arguments: NAME keeps a variable, NAME=VALUE sets it.
func (c *Config) Env() []string { return c.mainArgs("env") }

// LoadModules lists the load_module directives' paths as written; relative ones are under the
// prefix.
func (c *Config) LoadModules() []string { return c.mainArgs("load_module") }

func (c *Config) mainArgs(name string) []string {
	var args []string
	for _, d := range c.Directives {
		if d.Name == name {
			args = append(args, d.Arg(0))
		}
	}
	return args
}
