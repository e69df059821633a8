package source

// Layout is the kind of source tree, which decides how it is configured and what its --prefix means.
type Layout string

// The layouts graft can build. The zero value is none of them.
const (
	LayoutOpenResty Layout = "openresty" // top-level configure, bundle/; --prefix=P gives nginx P/nginx
	LayoutNginx     Layout = "nginx"     // auto/, src/core/nginx.h
	LayoutDistro    Layout = "distro"    // put together from the distribution's packages
)
