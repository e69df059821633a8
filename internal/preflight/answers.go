package preflight

import "fmt"

func ok(evidence string, args ...any) Check {
	return Check{Severity: OK, Evidence: fmt.Sprintf(evidence, args...)}
}

func note(remedy, evidence string, args ...any) Check {
	return Check{Severity: Note, Evidence: fmt.Sprintf(evidence, args...), Remedy: remedy}
}

func warning(remedy, evidence string, args ...any) Check {
	return Check{Severity: Warning, Evidence: fmt.Sprintf(evidence, args...), Remedy: remedy}
}

func blocker(remedy, evidence string, args ...any) Check {
	return Check{Severity: Blocker, Evidence: fmt.Sprintf(evidence, args...), Remedy: remedy}
}
