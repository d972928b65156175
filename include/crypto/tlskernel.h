/*
 * Kernel TLS: the kernel takes over the sending half of a session.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CRYPTO_TLSKERNEL_H
#define CRYPTO_TLSKERNEL_H

#include "crypto/tlssession.h"

/*
 * From here on what is written to @fd, the TCP socket of @session, is encrypted by the kernel, and
 * the session must send nothing any more. After the handshake. False: the kernel or the cipher does
 * not allow it, and all is as it was.
 */
bool qcrypto_tls_kernel_start(QCryptoTLSSession *session, int fd);

/* Says good-bye on such a socket. 0, or -errno. */
int qcrypto_tls_kernel_bye(int fd);

#endif /* CRYPTO_TLSKERNEL_H */
