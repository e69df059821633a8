/* A third-party module for tests: the directive "hello" makes a location answer "hello" and the file it was compiled from. */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hello_autoconf.h"

static ngx_int_t
hello_handler(ngx_http_request_t *r)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;
    static u_char text[] = "hello from " __FILE__ "\n";

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = sizeof(text) - 1;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text;
    b->last = text + sizeof(text) - 1;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}

static char *
hello(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = hello_handler;
    return NGX_CONF_OK;
}

static ngx_command_t hello_commands[] = {
    { ngx_string("hello"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, hello, 0, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t hello_ctx = { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };

ngx_module_t ngx_http_hello_module = {
    NGX_MODULE_V1, &hello_ctx, hello_commands, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};
