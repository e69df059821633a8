#!/bin/sh
# The top-level configure of a test's source tree. To its caller it behaves like OpenResty's: the
# prefix is OpenResty's own and nginx gets PREFIX/nginx, options it does not know go on to nginx's
# configure inside single quotes, it adds modules, an rpath and Lua's default paths, and it writes a
# Makefile whose install honours DESTDIR. Its LuaJIT is compiled already.
set -e
root=$(pwd)
prefix=/usr/local/openresty sbin= cc_opt=-O2 ld_opt= passed=

for opt in "$@"; do
	case $opt in
	-j[0-9]*) ;; # for LuaJIT
	--prefix=*) prefix=${opt#*=} ;;
	--with-cc-opt=*) cc_opt="$cc_opt ${opt#*=}" ;;
	--with-ld-opt=*) ld_opt="$ld_opt ${opt#*=}" ;;
	--with-debug)
		cc_opt="-DNGX_LUA_USE_ASSERT -DNGX_LUA_ABORT_AT_PANIC $cc_opt"
		passed="$passed --with-debug"
		;;
	--sbin-path=*) sbin=${opt#*=} passed="$passed '$opt'" ;;
	--add-module=*) passed="$passed --add-module=$(realpath "${opt#*=}")" ;;
	--[a-z]*) passed="$passed '$opt'" ;;
	*)
		echo "Invalid option $opt" >&2
		exit 1
		;;
	esac
done
: "${sbin:=$prefix/nginx/sbin/nginx}"

rm -rf build
cp -rp bundle build
lua=$(cd build && echo ngx_lua-*)
cat >>"build/$lua/config" <<END
cat >>"\$ngx_addon_dir/src/ngx_http_lua_autoconf.h" <<'PATHS'
#ifndef LUA_DEFAULT_PATH
#define LUA_DEFAULT_PATH "$prefix/site/lualib/?.lua;$prefix/site/lualib/?/init.lua;$prefix/lualib/?.lua;$prefix/lualib/?/init.lua"
#endif
#ifndef LUA_DEFAULT_CPATH
#define LUA_DEFAULT_CPATH "$prefix/site/lualib/?.so;$prefix/lualib/?.so"
#endif
PATHS
END
LUAJIT_LIB=$root/build/LuaJIT-2.1/lib
LUAJIT_INC=$root/build/LuaJIT-2.1/include/luajit-2.1
export LUAJIT_LIB LUAJIT_INC

nginx=$(cd build && echo nginx-*)
cd "build/$nginx"
modules=
for dir in ../ngx_devel_kit-* "../$lua"; do
	modules="$modules --add-module=$dir"
done
eval "sh ./configure --prefix=$prefix/nginx --with-cc-opt='$cc_opt' $modules \
	--with-ld-opt='-Wl,-rpath,$prefix/luajit/lib$ld_opt' $passed --with-stream --with-http_ssl_module"
cd ../..

cat >Makefile <<END
.PHONY: all install

all:
	cd $root/build/$nginx && \$(MAKE)

install: all
	mkdir -p \$(DESTDIR)$prefix/luajit \$(DESTDIR)$prefix/bin
	cd $root/build/LuaJIT-2.1 && cp -r lib include share \$(DESTDIR)$prefix/luajit
	for dir in $root/build/lua-resty-*/lib; do mkdir -p \$(DESTDIR)$prefix/lualib && cp -r \$\$dir/. \$(DESTDIR)$prefix/lualib; done
	cd $root/build/$nginx && \$(MAKE) install DESTDIR=\$(DESTDIR)
	mkdir -p \$(DESTDIR)$prefix/site/lualib \$(DESTDIR)$prefix/site/pod
	ln -sf $sbin \$(DESTDIR)$prefix/bin/openresty
END
