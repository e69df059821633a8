/*
 * One configuration serves two binaries. Its load_module lines name the old build's .so files; the old
 * binary goes on loading those. This binary, which they do not fit, loads its own build of the same file
 * name from GRAFT_MODULES_PATH, or nothing at all if it has the module built in. Any other file is loaded
 * as ever, and nginx itself checks whether it fits.
 *
 * nginx loads a module by dlopen(), asks for three symbols by dlsym(), and may dlclose() it
 * (src/core/nginx.c, ngx_load_module). The linker sends the main binary's calls here (--wrap).
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <dlfcn.h>
#include <limits.h>

#include "graft_modules_path.h"

void *__real_dlopen(const char *file, int flags);
void *__real_dlsym(void *handle, const char *symbol);
int __real_dlclose(void *handle);

void *__wrap_dlopen(const char *file, int flags);
void *__wrap_dlsym(void *handle, const char *symbol);
int __wrap_dlclose(void *handle);

/* What a file without modules would export; the handle of that file is its address. */
static ngx_module_t  *graft_no_modules[] = { NULL };
static char          *graft_no_names[] = { NULL };


static int
graft_is_built_in(const char *name, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; ngx_module_names[i]; i++) {
        if (strlen(ngx_module_names[i]) == len && strncmp(ngx_module_names[i], name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


void *
__wrap_dlopen(const char *file, int flags)
{
    char         path[sizeof(GRAFT_MODULES_PATH) + NAME_MAX + 1];
    size_t       len;
    const char  *name;

    name = file ? strrchr(file, '/') : NULL;
    if (name == NULL) {
        return __real_dlopen(file, flags);
    }

    len = strlen(++name);
    if (len <= 3 || len > NAME_MAX || strcmp(name + len - 3, ".so") != 0) {
        return __real_dlopen(file, flags);
    }

    (void) snprintf(path, sizeof(path), "%s/%s", GRAFT_MODULES_PATH, name);
    if (access(path, F_OK) == 0) {
        return __real_dlopen(path, flags);
    }

    if (graft_is_built_in(name, len - 3)) {
        return graft_no_modules;
    }

    return __real_dlopen(file, flags);
}


void *
__wrap_dlsym(void *handle, const char *symbol)
{
    if (handle != (void *) graft_no_modules) {
        return __real_dlsym(handle, symbol);
    }

    if (strcmp(symbol, "ngx_modules") == 0) {
        return graft_no_modules;
    }

    if (strcmp(symbol, "ngx_module_names") == 0) {
        return graft_no_names;
    }

    return NULL;
}


int
__wrap_dlclose(void *handle)
{
    return handle == (void *) graft_no_modules ? 0 : __real_dlclose(handle);
}
