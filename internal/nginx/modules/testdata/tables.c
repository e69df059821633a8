/* The tables of an nginx in little. LAYOUT 0 is ngx_module_t before 1.9.11 (as in 1.8), 1 since then,
   2 as in Tengine 2, 3 as nobody has it. */

#include <stddef.h>
#include <stdint.h>

typedef struct { size_t len; const char *data; } str_t;
#define STR(s) { sizeof(s) - 1, s }

typedef struct {
    str_t name;
    uintptr_t type;
    char *(*set)(void *, void *, void *);
    uintptr_t conf, offset;
    void *post;
} command_t;
#define END { { 0, NULL }, 0, NULL, 0, 0, NULL }

typedef struct {
    uintptr_t ctx_index, index;
#if LAYOUT == 1
    char *name;
    uintptr_t spare0, spare1, version;
    const char *signature;
#elif LAYOUT == 2
    uintptr_t spare[4], abi, major, minor, version;
#elif LAYOUT == 3
    uintptr_t version;
#else
    uintptr_t spare[4], version;
#endif
    void *ctx;
    command_t *commands;
    uintptr_t type;
    void *hooks[7];
    uintptr_t spare_hooks[8];
} module_t;

#if LAYOUT == 1
#define V1 (uintptr_t) -1, (uintptr_t) -1, NULL, 0, 0, 1009011, "8,4,8,00111111111101011100111111111111111"
#elif LAYOUT == 2
#define V1 0, 0, { 0, 0, 0, 0 }, 7, 3, 1, 1
#elif LAYOUT == 3
#define V1 0, 0, 1
#else
#define V1 0, 0, { 0, 0, 0, 0 }, 1
#endif

static char *set(void *cf, void *cmd, void *conf) { return (char *) cf == conf ? cmd : NULL; }

static struct { str_t name; void *create, *init; } core_ctx = { STR("core"), NULL, NULL };
static void *http_ctx[8];

static command_t core[] = { { STR("user"), 0x01010006, set, 0, 0, NULL }, END };
static command_t conf[] = { { STR("include"), 0xff000002, set, 0, 0, NULL }, END };
static command_t http[] = { { STR("root"), 0x4e000002, set, 16, 8, NULL }, { STR("server"), 0x02000101, set, 0, 0, NULL }, END };
static command_t geo[] = { { STR("geoip_country"), 0x02000006, set, 0, 0, NULL }, END };
static command_t ret[] = { { STR("return"), 0x04000002, set, 8, 0, &core_ctx }, END };

module_t ngx_core_module = { V1, &core_ctx, core, 0x45524F43, { 0 }, { 0 } };
module_t ngx_conf_module = { V1, NULL, conf, 0x464E4F43, { 0 }, { 0 } };
module_t ngx_http_module = { V1, &core_ctx, NULL, 0x45524F43, { 0 }, { 0 } };
module_t ngx_http_core_module = { V1, http_ctx, http, 0x50545448, { 0 }, { 0 } };
module_t ngx_http_geoip_module = { V1, http_ctx, geo, 0x50545448, { 0 }, { 0 } };
module_t ngx_stream_return_module = { V1, http_ctx, ret, 0x4d525453, { 0 }, { 0 } };

module_t *ngx_modules[] = {
    &ngx_core_module, &ngx_conf_module, &ngx_http_module, &ngx_http_core_module, &ngx_http_geoip_module,
    &ngx_stream_return_module, NULL
};

#if LAYOUT == 1 && !defined NO_NAMES
char *ngx_module_names[] = {
    "ngx_core_module", "ngx_conf_module", "ngx_http_module", "ngx_http_core_module", "ngx_http_geoip_module",
    "ngx_stream_return_module", NULL
};
#endif

int main(void) { return ngx_modules[0]->type != 0x45524F43; }
