/*
 * Passwords and keys, as objects that users make (type "secret"), so that they need not stand in
 * the command line.
 *
 * Main thread. What a function returns is the caller's; secrets are wiped before they are freed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include "qom/object.h"

#define TYPE_QCRYPTO_SECRET "secret"

/* The bytes of the secret with that id, with a zero behind them. False with @errp set. */
bool qcrypto_secret_lookup(const char *id, uint8_t **data, size_t *len, Error **errp);

/* The same as text: it must be UTF-8. NULL with @errp set. */
char *qcrypto_secret_lookup_as_utf8(const char *id, Error **errp);

/* Wipes and frees what a lookup returned. */
void qcrypto_secret_free(void *data, size_t len);

#endif /* CRYPTO_SECRET_H */
