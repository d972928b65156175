/*
 * Kernel TLS without a kernel that has it: the linker puts functions of this program in the place
 * of setsockopt, sendmsg and close, and they behave as a kernel with TLS does, or as one with a fault.
 * Whether records are right, the peer decides, which is GnuTLS.
 *
 * What the kernel can do is found out once for a process, so each test has one of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io-helpers.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "tls-certs.h"
#include <gnutls/crypto.h>
#include <linux/tls.h>

#define SIZE (2 * 1024 * 1024 + 321)
#define MAX_FD 256
#define SOL_TLS_NUMBER 282
#define RECORD_MAX 16384

static char *dir;

/* --- the kernel --- */

typedef enum Kernel {
    GOOD,
    NO_TLS,             /* it has none: ENOENT */
    NO_KEYS,            /* it has, but not for these keys */
    NO_KEYS_LATER,      /* the same, but the first socket gets them */
    PLAIN,              /* it takes the keys and does nothing */
    WRONG_NUMBER,       /* of the first record */
    STUCK_NUMBER,       /* it does not count */
    WRONG_TYPE,         /* of alerts */
    SHORT_RECORDS,
    SILENT,             /* nothing comes out */
} Kernel;

static Kernel kernel;
static int keys_taken, records_made;

static struct KernelSocket {
    bool ulp, tx;
    union {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 gcm_128;
        struct tls12_crypto_info_aes_gcm_256 gcm_256;
        struct tls12_crypto_info_chacha20_poly1305 chacha;
    };
    gnutls_aead_cipher_hd_t cipher;
    uint8_t nonce[12];
    uint64_t number, explicit;
} sockets[MAX_FD];

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
int __real_close(int fd);
int __wrap_close(int fd);

static void put_be(uint8_t *to, uint64_t value)
{
    value = GUINT64_TO_BE(value);
    memcpy(to, &value, 8);
}

static uint64_t get_be(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, 8);
    return GUINT64_FROM_BE(value);
}

static void take_cipher(struct KernelSocket *k, gnutls_cipher_algorithm_t algorithm,
                        const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len,
                        const uint8_t *iv, const uint8_t *number)
{
    gnutls_datum_t datum = { (unsigned char *)key, key_len };

    g_assert_cmpint(gnutls_aead_cipher_init(&k->cipher, algorithm, &datum), ==, 0);
    memcpy(k->nonce, salt, salt_len);
    memcpy(k->nonce + salt_len, iv, 12 - salt_len);
    k->explicit = get_be(iv);
    k->number = get_be(number) + (kernel == WRONG_NUMBER);
}

static int take_keys(struct KernelSocket *k, const void *value, socklen_t len)
{
    g_assert_true(k->ulp && !k->tx && len <= sizeof(k->gcm_256));
    if (kernel == NO_KEYS || (kernel == NO_KEYS_LATER && keys_taken)) {
        errno = EINVAL;
        return -1;
    }
    keys_taken++;
    memcpy(&k->info, value, len);
    g_assert_true(k->info.version == TLS_1_2_VERSION || k->info.version == TLS_1_3_VERSION);
    switch (k->info.cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
        g_assert_cmpint(len, ==, sizeof(k->gcm_128));
        take_cipher(k, GNUTLS_CIPHER_AES_128_GCM, k->gcm_128.key, sizeof(k->gcm_128.key),
                    k->gcm_128.salt, 4, k->gcm_128.iv, k->gcm_128.rec_seq);
        break;
    case TLS_CIPHER_AES_GCM_256:
        g_assert_cmpint(len, ==, sizeof(k->gcm_256));
        take_cipher(k, GNUTLS_CIPHER_AES_256_GCM, k->gcm_256.key, sizeof(k->gcm_256.key),
                    k->gcm_256.salt, 4, k->gcm_256.iv, k->gcm_256.rec_seq);
        break;
    default:
        g_assert_cmpint(k->info.cipher_type, ==, TLS_CIPHER_CHACHA20_POLY1305);
        g_assert_cmpint(len, ==, sizeof(k->chacha));
        take_cipher(k, GNUTLS_CIPHER_CHACHA20_POLY1305, k->chacha.key, sizeof(k->chacha.key),
                    k->chacha.salt, 0, k->chacha.iv, k->chacha.rec_seq);
    }
    k->tx = true;
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == IPPROTO_TCP && name == TCP_ULP) {
        g_assert_cmpint(fd, <, MAX_FD);
        g_assert_cmpstr(value, ==, "tls");
        if (kernel == NO_TLS) {
            errno = ENOENT;
            return -1;
        }
        g_assert_false(sockets[fd].ulp);
        sockets[fd].ulp = true;
        return 0;
    }
    if (level == SOL_TLS_NUMBER) {
        g_assert_cmpint(name, ==, TLS_TX);
        return take_keys(&sockets[fd], value, len);
    }
    return __real_setsockopt(fd, level, name, value, len);
}

static size_t make_record(struct KernelSocket *k, uint8_t *out, uint8_t type, uint8_t *content,
                          size_t len)
{
    bool is_12 = k->info.version == TLS_1_2_VERSION;
    bool counted = is_12 && k->info.cipher_type != TLS_CIPHER_CHACHA20_POLY1305;
    size_t inner = len + !is_12, sealed = inner + 16, total = (counted ? 8 : 0) + sealed;
    uint8_t nonce[12], auth[13], number[8];

    content[len] = type; /* there is room */
    put_be(number, k->number);
    out[0] = is_12 ? type : 23;
    out[1] = out[2] = 3;
    out[3] = total >> 8;
    out[4] = total;
    memcpy(nonce, k->nonce, 12);
    if (counted) {
        put_be(nonce + 4, k->explicit++);
        memcpy(out + 5, nonce + 4, 8);
    } else {
        for (int i = 0; i < 8; i++) {
            nonce[4 + i] ^= number[i];
        }
    }
    memcpy(auth, is_12 ? number : out, is_12 ? 8 : 5);
    if (is_12) {
        memcpy(auth + 8, out, 3);
        auth[11] = len >> 8;
        auth[12] = len;
    }
    g_assert_cmpint(gnutls_aead_cipher_encrypt(k->cipher, nonce, 12, auth, is_12 ? 13 : 5, 16,
                                               content, inner, out + 5 + total - sealed, &sealed),
                    ==, 0);
    k->number += kernel != STUCK_NUMBER;
    records_made++;
    return 5 + total;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct KernelSocket *k = fd < MAX_FD ? &sockets[fd] : NULL;
    size_t max = kernel == SHORT_RECORDS ? 1000 : RECORD_MAX;
    size_t total = 0, offset = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    uint8_t type = 23;

    if (!k || !k->tx || kernel == PLAIN) {
        return __real_sendmsg(fd, msg, flags);
    }
    g_assert_cmpint(flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT), ==, 0);
    if (c) {
        g_assert_cmpint(c->cmsg_level, ==, SOL_TLS_NUMBER);
        g_assert_cmpint(c->cmsg_type, ==, TLS_SET_RECORD_TYPE);
        g_assert_cmpint(c->cmsg_len, ==, CMSG_LEN(1));
        type = kernel == WRONG_TYPE ? 23 : *CMSG_DATA(c);
    }
    for (size_t i = 0; i < msg->msg_iovlen;) {
        uint8_t content[RECORD_MAX + 1], record[RECORD_MAX + 64];
        size_t len = 0, made;

        while (i < msg->msg_iovlen && len < max) {
            size_t n = MIN(max - len, msg->msg_iov[i].iov_len - offset);

            memcpy(content + len, (uint8_t *)msg->msg_iov[i].iov_base + offset, n);
            len += n;
            offset += n;
            if (offset == msg->msg_iov[i].iov_len) {
                offset = 0;
                i++;
            }
        }
        total += len;
        if (!len || kernel == SILENT) {
            continue;
        }
        made = make_record(k, record, type, content, len);
        for (size_t done = 0; done < made;) {
            ssize_t n = send(fd, record + done, made - done, MSG_NOSIGNAL);

            if (n < 0) {
                return -1;
            }
            done += n;
        }
    }
    return total;
}

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < MAX_FD) {
        if (sockets[fd].tx) {
            gnutls_aead_cipher_deinit(sockets[fd].cipher);
        }
        memset(&sockets[fd], 0, sizeof(sockets[fd]));
    }
    return __real_close(fd);
}

/* --- connections --- */

typedef struct Pair {
    QIOChannelSocket *plain[2];
    QIOChannelTLS *tioc[2]; /* client, server */
    int over;
} Pair;

static void add_creds(const char *priority)
{
    for (int i = 0; i < 2; i++) {
        const char *end = i ? "server" : "client";
        g_autofree char *text = g_strdup_printf(
            "tls-creds-x509,id=%s,endpoint=%s,dir=%s/%s,priority=%s", end, end, dir, end, priority);

        g_assert_true(user_creatable_add_from_str(text, &error_abort));
    }
}

static void handshake_over(QIOTask *task, gpointer opaque)
{
    Error *err = NULL;

    qio_task_propagate_error(task, &err);
    g_assert_null(err);
    ((Pair *)opaque)->over++;
}

static void pair_make(Pair *p, const char *uri, bool bulk)
{
    g_autoptr(SocketAddress) addr = socket_parse(uri, &error_abort), where = NULL;
    g_autoptr(QIOChannelSocket) listener = qio_channel_socket_new();

    *p = (Pair){ 0 };
    qio_channel_socket_listen_sync(listener, addr, 1, &error_abort);
    where = qio_channel_socket_get_local_address(listener, &error_abort);
    p->plain[0] = qio_channel_socket_new();
    p->plain[0]->bulk = bulk;
    qio_channel_socket_connect_sync(p->plain[0], where, &error_abort);
    p->plain[1] = qio_channel_socket_accept(listener, &error_abort);
    p->tioc[0] = qio_channel_tls_new_client(
        QIO_CHANNEL(p->plain[0]),
        qcrypto_tls_creds_find("client", Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, &error_abort),
        "localhost", &error_abort);
    p->tioc[1] = qio_channel_tls_new_server(
        QIO_CHANNEL(p->plain[1]),
        qcrypto_tls_creds_find("server", Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER, &error_abort), NULL,
        &error_abort);
    for (int i = 0; i < 2; i++) {
        qio_channel_tls_handshake(p->tioc[i], handshake_over, p, NULL, NULL);
    }
    while (p->over < 2) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static void pair_free(Pair *p)
{
    for (int i = 0; i < 2; i++) {
        qio_channel_close(QIO_CHANNEL(p->tioc[i]), NULL);
        object_unref(OBJECT(p->tioc[i]));
        object_unref(OBJECT(p->plain[i]));
    }
}

/* Everything still works, in either direction, and the end is a good one. */
static void check_works(Pair *p)
{
    QIOChannel *client = QIO_CHANNEL(p->tioc[0]), *server = QIO_CHANNEL(p->tioc[1]);
    char c;

    test_transfer(client, server, SIZE, false);
    test_transfer(server, client, SIZE, false);
    test_transfer(client, server, 1, false);
    g_assert_cmpint(qio_channel_tls_bye(p->tioc[0], &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_read(server, &c, 1, &error_abort), ==, 0);
}

#define TCP "tcp:127.0.0.1:0"

static void check_kernel(Kernel k, const char *priority, bool sends)
{
    Pair p;
    int before;

    kernel = k;
    add_creds(priority);
    for (int i = 0; i < 3; i++) { /* the second knows what the first found out */
        pair_make(&p, TCP, true);
        g_assert_true(p.tioc[0]->kernel_sends == sends);
        g_assert_false(p.tioc[1]->kernel_sends);
        before = records_made;
        check_works(&p);
        g_assert_true((records_made > before) == sends);
        pair_free(&p);
    }
}

/* --- tests: each is a process --- */

static bool in_its_own_process(void)
{
    if (g_test_subprocess()) {
        return true;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    return false;
}

#define SUITE(version, cipher)                                                                     \
    "NONE:+VERS-TLS" version ":+" cipher ":+AEAD:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:+CTYPE-ALL:"      \
    "+ECDHE-ECDSA:+ECDHE-RSA"

static void test_good(gconstpointer priority)
{
    if (in_its_own_process()) {
        check_kernel(GOOD, priority, true);
    }
}

static const struct {
    const char *name;
    Kernel kernel;
} bad[] = {
    { "none", NO_TLS }, { "no-keys", NO_KEYS }, { "no-keys-later", NO_KEYS_LATER },
    { "plain", PLAIN }, { "number", WRONG_NUMBER }, { "stuck", STUCK_NUMBER },
    { "type", WRONG_TYPE }, { "short", SHORT_RECORDS }, { "silent", SILENT },
};

static void test_bad(gconstpointer data)
{
    Kernel k = bad[GPOINTER_TO_INT(data)].kernel;

    if (in_its_own_process()) {
        check_kernel(k, SUITE("1.3", "AES-128-GCM"), false);
        g_assert_true(user_creatable_del("client", &error_abort));
        g_assert_true(user_creatable_del("server", &error_abort));
        check_kernel(k, SUITE("1.2", "AES-128-GCM"), false);
    }
}

/* What the kernel cannot do, or what is not worth it, it is not asked for. */
static void test_not_asked(void)
{
    g_autofree char *path = NULL, *uri = NULL;
    Pair p;

    if (!in_its_own_process()) {
        return;
    }
    path = g_build_filename(dir, "socket", NULL);
    uri = g_strdup_printf("unix:%s", path);
    add_creds(SUITE("1.3", "AES-128-GCM"));
    pair_make(&p, uri, true);
    check_works(&p);
    pair_free(&p);
    pair_make(&p, TCP, false);
    check_works(&p);
    pair_free(&p);
    g_assert_cmpint(keys_taken, ==, 0);
    g_assert_true(user_creatable_del("client", &error_abort));
    g_assert_true(user_creatable_del("server", &error_abort));
    add_creds(SUITE("1.2", "AES-128-CCM"));
    pair_make(&p, TCP, true);
    check_works(&p);
    pair_free(&p);
    g_assert_cmpint(keys_taken, ==, 0);
    unlink(path);
}

/* A writer whom the peer keeps waiting ends when its channel is shut down. */
static gpointer write_for_ever(gpointer opaque)
{
    g_autofree char *buf = g_malloc0(SIZE);
    Error *err = NULL;

    while (qio_channel_write_all(opaque, buf, SIZE, &err) == 0) {
    }
    return err;
}

static void test_shutdown(void)
{
    GThread *writer;
    Error *err;
    Pair p;

    if (!in_its_own_process()) {
        return;
    }
    add_creds(SUITE("1.3", "AES-128-GCM"));
    pair_make(&p, TCP, true);
    g_assert_true(p.tioc[0]->kernel_sends);
    writer = g_thread_new("writer", write_for_ever, p.tioc[0]);
    g_usleep(100000);
    qio_channel_shutdown(QIO_CHANNEL(p.tioc[0]), QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    err = g_thread_join(writer);
    g_assert_nonnull(strstr(error_get_pretty(err), "Cannot write to TLS channel"));
    error_free(err);
    g_assert_cmpint(qio_channel_tls_bye(p.tioc[0], NULL), ==, -1);
    pair_free(&p);
}

static const char *const suites[][2] = {
    { "1.3/aes-128", SUITE("1.3", "AES-128-GCM") },
    { "1.3/aes-256", SUITE("1.3", "AES-256-GCM") },
    { "1.3/chacha20", SUITE("1.3", "CHACHA20-POLY1305") },
    { "1.2/aes-128", SUITE("1.2", "AES-128-GCM") },
    { "1.2/aes-256", SUITE("1.2", "AES-256-GCM") },
    { "1.2/chacha20", SUITE("1.2", "CHACHA20-POLY1305") },
};

int main(int argc, char **argv)
{
    int ret;

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-tlskernel-XXXXXX", NULL);
    if (g_test_subprocess()) {
        test_certs_default(dir);
    }
    for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
        g_autofree char *path = g_strdup_printf("/crypto/tlskernel/good/%s", suites[i][0]);

        g_test_add_data_func(path, suites[i][1], test_good);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *path = g_strdup_printf("/crypto/tlskernel/bad/%s", bad[i].name);

        g_test_add_data_func(path, GINT_TO_POINTER(i), test_bad);
    }
    g_test_add_func("/crypto/tlskernel/not-asked", test_not_asked);
    g_test_add_func("/crypto/tlskernel/shutdown", test_shutdown);
    ret = g_test_run();
    test_certs_remove(dir);
    g_free(dir);
    return ret;
}
