package preflight

func sameBinary(e *examination) Check {
	sum, err := e.Target.BinarySHA256()
	if err != nil {
		return blocker("build the target again: graft build", "%v", err)
	}
	if sum == e.Instance.Exe.SHA256 {
		return warning("nothing is to be done; name another target with --to", "the target's binary and the one master %d runs have the same SHA-256, %s", e.Instance.Master.PID, sum)
	}
	return ok("the target's binary has SHA-256 %s, the running one %s", sum, e.Instance.Exe.SHA256)
}

func drainUnbounded(e *examination) Check {
	if d := e.Instance.Config.Find("worker_shutdown_timeout"); len(d) > 0 {
		return ok("worker_shutdown_timeout %s (%s)", d[0].Arg(0), d[0].Pos())
	}
	return note("to bound it, add to the main context: worker_shutdown_timeout 1h;",
		"no worker_shutdown_timeout in %s: old workers stay until their last connection (download, websocket) ends, and the old master with them", e.Instance.Paths.Conf)
}
