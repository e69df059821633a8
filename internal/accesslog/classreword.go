package accesslog

// reworded maps the wording of older nginx to that of the newest.
func reworded(template string) string { return template }
