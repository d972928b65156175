/*
 * Kernel TLS, for sending: the kernel encrypts what is written to a TCP socket and makes records.
 *
 * Receiving stays with GnuTLS, which has read ahead when the handshake is over.
 *
 * What has once been given to the kernel cannot be taken back. Therefore a connection of our own is
 * tried first, and read as a peer would: only where the kernel makes of it just what the RFCs
 * (5246, 5288, 7905, 8446) say does it get a real one. Once for each version and cipher.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/tlskernel.h"
#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define TYPE_ALERT 21
#define TYPE_DATA 23
#define TAG_SIZE 16
#define HEADER_SIZE 5
/* The kernel makes records as large as they may be by themselves. */
#define RECORD_MAX 16384
/* The try: what is sent, and how long may pass until it comes. */
#define PROBE_SIZE 3000
#define PROBE_SECONDS 2

static const gnutls_cipher_algorithm_t algorithms[] = {
    [QCRYPTO_TLS_AES_128_GCM] = GNUTLS_CIPHER_AES_128_GCM,
    [QCRYPTO_TLS_AES_256_GCM] = GNUTLS_CIPHER_AES_256_GCM,
    [QCRYPTO_TLS_CHACHA20_POLY1305] = GNUTLS_CIPHER_CHACHA20_POLY1305,
};

/* --- what the kernel is told --- */

typedef union KernelInfo {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 gcm_128;
    struct tls12_crypto_info_aes_gcm_256 gcm_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha;
} KernelInfo;

/*
 * Of GCM's twelve bytes the kernel calls the first four salt. The others come, in TLS 1.3, from the
 * key schedule; in 1.2 each record carries them, and any that do not repeat will do: its number.
 */
static void fill_gcm(const QCryptoTLSSendState *s, uint8_t *salt, uint8_t *iv)
{
    memcpy(salt, s->iv, 4);
    memcpy(iv, s->version == TLS_1_2_VERSION ? s->sequence : s->iv + 4, 8);
}

static socklen_t fill_info(KernelInfo *k, const QCryptoTLSSendState *s)
{
    memset(k, 0, sizeof(*k));
    k->info.version = s->version;
    switch (s->cipher) {
    case QCRYPTO_TLS_AES_128_GCM:
        k->info.cipher_type = TLS_CIPHER_AES_GCM_128;
        fill_gcm(s, k->gcm_128.salt, k->gcm_128.iv);
        memcpy(k->gcm_128.key, s->key, sizeof(k->gcm_128.key));
        memcpy(k->gcm_128.rec_seq, s->sequence, sizeof(k->gcm_128.rec_seq));
        return sizeof(k->gcm_128);
    case QCRYPTO_TLS_AES_256_GCM:
        k->info.cipher_type = TLS_CIPHER_AES_GCM_256;
        fill_gcm(s, k->gcm_256.salt, k->gcm_256.iv);
        memcpy(k->gcm_256.key, s->key, sizeof(k->gcm_256.key));
        memcpy(k->gcm_256.rec_seq, s->sequence, sizeof(k->gcm_256.rec_seq));
        return sizeof(k->gcm_256);
    default:
        k->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
        memcpy(k->chacha.iv, s->iv, sizeof(k->chacha.iv));
        memcpy(k->chacha.key, s->key, sizeof(k->chacha.key));
        memcpy(k->chacha.rec_seq, s->sequence, sizeof(k->chacha.rec_seq));
        return sizeof(k->chacha);
    }
}

/* If only the second step fails, the socket goes on as it was. */
static bool give_to_kernel(int fd, const QCryptoTLSSendState *s)
{
    KernelInfo k;
    socklen_t len = fill_info(&k, s);
    bool ok = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0 &&
              setsockopt(fd, SOL_TLS, TLS_TX, &k, len) == 0;

    gnutls_memset(&k, 0, sizeof(k));
    return ok;
}

/* --- what a peer would see --- */

static bool read_all(int fd, uint8_t *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = RETRY_ON_EINTR(recv(fd, buf + done, len - done, 0));

        if (n <= 0) {
            return false;
        }
        done += n;
    }
    return true;
}

/* The record number @number is of @type and says @content. */
static bool record_is_right(int fd, const QCryptoTLSSendState *s, uint64_t number, uint8_t type,
                            const void *content, size_t len)
{
    bool is_12 = s->version == TLS_1_2_VERSION;
    size_t explicit_len = 12 - s->iv_len;
    size_t inner = len + (is_12 ? 0 : 1);
    size_t size = explicit_len + inner + TAG_SIZE, plain_len = inner;
    g_autofree uint8_t *record = g_malloc(size), *plain = g_malloc(inner);
    gnutls_datum_t key = { (unsigned char *)s->key,
                           gnutls_cipher_get_key_size(algorithms[s->cipher]) };
    uint8_t header[HEADER_SIZE], nonce[12], auth[13];
    size_t auth_len = is_12 ? 13 : HEADER_SIZE;
    gnutls_aead_cipher_hd_t cipher;
    uint64_t be = GUINT64_TO_BE(number);
    int ret;

    if (!read_all(fd, header, sizeof(header)) || header[0] != (is_12 ? type : TYPE_DATA) ||
        header[1] != 3 || header[2] != 3 || (size_t)(header[3] << 8 | header[4]) != size ||
        !read_all(fd, record, size)) {
        return false;
    }
    memcpy(nonce, s->iv, s->iv_len);
    memcpy(nonce + s->iv_len, record, explicit_len);
    for (int i = 0; !explicit_len && i < 8; i++) {
        nonce[4 + i] ^= ((uint8_t *)&be)[i];
    }
    if (is_12) {
        memcpy(auth, &be, 8);
        memcpy(auth + 8, header, 3);
        auth[11] = len >> 8;
        auth[12] = len;
    } else {
        memcpy(auth, header, HEADER_SIZE);
    }
    if (gnutls_aead_cipher_init(&cipher, algorithms[s->cipher], &key) < 0) {
        return false;
    }
    ret = gnutls_aead_cipher_decrypt(cipher, nonce, sizeof(nonce), auth, auth_len, TAG_SIZE,
                                     record + explicit_len, inner + TAG_SIZE, plain, &plain_len);
    gnutls_aead_cipher_deinit(cipher);
    return ret == 0 && plain_len == inner && !memcmp(plain, content, len) &&
           (is_12 || plain[len] == type);
}

/* --- the try --- */

/* A TCP connection to ourselves: @fds[0] sends. */
static bool make_pair(int fds[2])
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);
    struct timeval limit = { .tv_sec = PROBE_SECONDS };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = -1;
    if (listener >= 0 && fds[0] >= 0 &&
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
        setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
        bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&addr, &len) == 0 &&
        connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)) == 0) {
        fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    if (listener >= 0) {
        close(listener);
    }
    return fds[1] >= 0 &&
           setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0;
}

static bool send_data(int fd, const uint8_t *data, size_t len)
{
    struct iovec iov[2] = { { (void *)data, len / 2 },
                            { (void *)(data + len / 2), len - len / 2 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    return RETRY_ON_EINTR(sendmsg(fd, &msg, MSG_NOSIGNAL)) == (ssize_t)len;
}

static bool try_kernel(const QCryptoTLSSendState *like)
{
    static const uint8_t bye[] = { 1, 0 };
    QCryptoTLSSendState s = { .version = like->version, .cipher = like->cipher,
                              .iv_len = like->iv_len };
    uint8_t data[PROBE_SIZE];
    uint64_t number = 0x1fe; /* what is counted on from here changes more than a byte */
    uint64_t be = GUINT64_TO_BE(number);
    int fds[2];
    bool ok = false;

    memcpy(s.sequence, &be, sizeof(s.sequence));
    if (gnutls_rnd(GNUTLS_RND_NONCE, s.key, sizeof(s.key)) < 0 ||
        gnutls_rnd(GNUTLS_RND_NONCE, s.iv, sizeof(s.iv)) < 0 ||
        gnutls_rnd(GNUTLS_RND_NONCE, data, sizeof(data)) < 0) {
        return false;
    }
    if (make_pair(fds) && give_to_kernel(fds[0], &s)) {
        ok = true;
        for (int i = 0; i < 3 && ok; i++, number++) {
            ok = send_data(fds[0], data, sizeof(data) - i) &&
                 record_is_right(fds[1], &s, number, TYPE_DATA, data, sizeof(data) - i);
        }
        ok = ok && qcrypto_tls_kernel_bye(fds[0]) == 0 &&
             record_is_right(fds[1], &s, number, TYPE_ALERT, bye, sizeof(bye));
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return ok;
}

static bool kernel_does_it(const QCryptoTLSSendState *s)
{
    static GMutex lock;
    static enum { UNKNOWN, NO, YES } known[2][ARRAY_SIZE(algorithms)];
    bool yes;

    g_mutex_lock(&lock);
    if (known[s->version == TLS_1_3_VERSION][s->cipher] == UNKNOWN) {
        known[s->version == TLS_1_3_VERSION][s->cipher] = try_kernel(s) ? YES : NO;
    }
    yes = known[s->version == TLS_1_3_VERSION][s->cipher] == YES;
    g_mutex_unlock(&lock);
    return yes;
}

/* --- in use --- */

bool qcrypto_tls_kernel_start(QCryptoTLSSession *session, int fd)
{
    QCryptoTLSSendState s;
    bool ok = qcrypto_tls_session_record_size(session) >= RECORD_MAX &&
              qcrypto_tls_session_send_state(session, &s) && kernel_does_it(&s) &&
              give_to_kernel(fd, &s);

    gnutls_memset(&s, 0, sizeof(s));
    return ok;
}

int qcrypto_tls_kernel_bye(int fd)
{
    uint8_t alert[] = { 1, 0 }; /* a warning: close_notify */
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(1)];
    } control = { 0 };
    struct iovec iov = { alert, sizeof(alert) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control.space) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_TLS;
    c->cmsg_type = TLS_SET_RECORD_TYPE;
    c->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(c) = TYPE_ALERT;
    return RETRY_ON_EINTR(sendmsg(fd, &msg, MSG_NOSIGNAL)) == sizeof(alert) ? 0 : -errno;
}
