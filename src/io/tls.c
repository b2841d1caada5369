#include "io/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "io/tls_int.h"

#define SELF_SIGNED_DAYS 3650
#define HOST_MAX 253
#define COMMON_NAME_MAX 64 /* RFC 5280, appendix A: ub-common-name */

struct tls_config {
    atomic_uint refs;
    SSL_CTX *ctx;
    bool is_client, verify;
};

/* Says what failed, with the library's reason where there is one, and gives `err` back. */
static int refuse(struct buf *why, const char *what, const char *about, int err)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (why)
        (void)buf_addf(why, "%s %s: %s", what, about, reason ? reason : err_str(err));
    ERR_clear_error();
    return err;
}

/* Never asks a terminal: a key with a passphrase is refused. */
static int no_passphrase(char *ret, int size, int writing, void *ctx)
{
    (void)ret;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static int config_new(const SSL_METHOD *method, bool is_client, struct tls_config **ret)
{
    static const unsigned char session_context[] = "penstock";
    struct tls_config *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    atomic_init(&t->refs, 1);
    t->is_client = is_client;
    ERR_clear_error();
    t->ctx = SSL_CTX_new(method);
    if (!t->ctx || !SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION)) {
        tls_config_unref(&t);
        return -ENOMEM;
    }
    (void)SSL_CTX_set_options(t->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* An idle session keeps no 16 KiB buffers. */
    (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    /* Resumption is by tickets, which cost the server no memory; one each is enough for a sender
     * that opens the next connection when this one is gone. */
    (void)SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(t->ctx, 1);
    (void)SSL_CTX_set_session_id_context(t->ctx, session_context, sizeof(session_context) - 1);
    SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
    *ret = t;
    return 0;
}

struct tls_config *tls_config_ref(struct tls_config *t)
{
    (void)atomic_fetch_add(&t->refs, 1);
    return t;
}

void tls_config_unref(struct tls_config **t_ptr)
{
    struct tls_config *t = *t_ptr;

    *t_ptr = NULL;
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

/* 0, or why the file cannot be read: the library's own words for it are poor. */
static int check_readable(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    (void)close(fd);
    return 0;
}

static int load_files(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct buf *why)
{
    int r = check_readable(cert_file);

    if (r < 0)
        return refuse(why, "cannot read the certificate file", cert_file, r);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return refuse(why, "no certificate in PEM form in", cert_file, -EINVAL);
    r = check_readable(key_file);
    if (r < 0)
        return refuse(why, "cannot read the key file", key_file, r);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(why, "no private key without passphrase for the certificate, in PEM form, in",
                      key_file, -EINVAL);
    return 0;
}

int tls_config_new_server(const char *cert_file, const char *key_file, struct tls_config **ret,
                          struct buf *why)
{
    struct tls_config *t;
    int r = config_new(TLS_server_method(), /* is_client= */ false, &t);

    if (r < 0)
        return refuse(why, "cannot set up TLS with", cert_file, r);
    r = load_files(t->ctx, cert_file, key_file, why);
    if (r < 0) {
        tls_config_unref(&t);
        return r;
    }
    *ret = t;
    return 0;
}

static bool is_host_name(struct slice host)
{
    if (host.len == 0 || host.len > HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];

        if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static bool add_names(X509 *cert, const char *host)
{
    X509_NAME *name = X509_get_subject_name(cert);
    char alt[HOST_MAX + sizeof("DNS:")];
    size_t len = strlen(host);
    X509_EXTENSION *ext;
    bool ok = true;

    memcpy(alt, "DNS:", 4);
    memcpy(alt + 4, host, len + 1);
    if (len <= COMMON_NAME_MAX)
        ok = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1,
                                        -1, 0) == 1;
    ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    ok = ok && ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok && X509_set_issuer_name(cert, name) == 1;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key, const char *host)
{
    uint64_t serial;

    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           /* an hour back, for peers whose clocks are late */
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), SELF_SIGNED_DAYS, 0, NULL) &&
           X509_set_pubkey(cert, key) == 1 && add_names(cert, host) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

int tls_config_new_self_signed(const char *host, struct tls_config **ret, struct buf *why)
{
    struct tls_config *t;
    EVP_PKEY *key;
    X509 *cert;
    int r;

    if (!is_host_name(slice_str(host)))
        return refuse(why, "cannot make a certificate for", host, -EINVAL);
    r = config_new(TLS_server_method(), /* is_client= */ false, &t);
    if (r < 0)
        return refuse(why, "cannot make a certificate for", host, r);
    key = EVP_EC_gen("P-256");
    cert = X509_new();
    if (!key || !cert || !fill_certificate(cert, key, host) ||
        SSL_CTX_use_certificate(t->ctx, cert) != 1 || SSL_CTX_use_PrivateKey(t->ctx, key) != 1)
        r = refuse(why, "cannot make a certificate for", host, -ENOMEM);
    X509_free(cert); /* both are counted, the context has its own */
    EVP_PKEY_free(key);
    if (r < 0)
        tls_config_unref(&t);
    else
        *ret = t;
    return r;
}

int tls_config_new_client(bool verify, const char *ca_file, struct tls_config **ret,
                          struct buf *why)
{
    const char *about = ca_file ? ca_file : "the system's certificate store";
    struct tls_config *t;
    int r = config_new(TLS_client_method(), /* is_client= */ true, &t);

    if (r < 0)
        return refuse(why, "cannot set up TLS with", about, r);
    t->verify = verify;
    if (verify) {
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
        r = ca_file ? check_readable(ca_file) : 0;
        if (r == 0 && (ca_file ? SSL_CTX_load_verify_file(t->ctx, ca_file)
                               : SSL_CTX_set_default_verify_paths(t->ctx)) != 1)
            r = -EINVAL;
        if (r < 0) {
            tls_config_unref(&t);
            return refuse(why, "cannot read the certificates of", about, r);
        }
    } else {
        /* Old keys and signatures protect more than the plain text that is the alternative. */
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_security_level(t->ctx, 1);
    }
    *ret = t;
    return 0;
}

static bool set_host(SSL *ssl, bool verify, struct slice host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char name[HOST_MAX + 1];
    unsigned char ip[16];
    size_t len = host.len;

    if (len > 0 && host.ptr[len - 1] == '.') /* RFC 6066, section 3: without the final dot */
        len--;
    if (len > HOST_MAX)
        return false;
    if (len == 0)
        return !verify; /* no name to check */
    memcpy(name, host.ptr, len);
    name[len] = '\0';
    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    if (!is_host_name(slice_make(name, len)))
        return false;
    if (verify) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (X509_VERIFY_PARAM_set1_host(param, name, len) != 1)
            return false;
    }
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *tls_session_new(struct tls_config *t, struct slice host)
{
    SSL *ssl;

    ERR_clear_error();
    ssl = SSL_new(t->ctx);
    if (!ssl)
        return NULL;
    if (t->is_client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    if (t->is_client && !set_host(ssl, t->verify, host)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    return ssl;
}

void tls_session_error(SSL *ssl, char *ret, size_t size)
{
    long verified = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (verified != X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
        (void)snprintf(ret, size, "certificate not accepted: %s",
                       X509_verify_cert_error_string(verified));
    else
        (void)snprintf(ret, size, "%s", reason ? reason : "protocol error");
    ERR_clear_error();
}
