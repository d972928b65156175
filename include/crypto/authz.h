/*
 * Who is let in: objects that decide about identities (the name in a TLS certificate).
 *
 * Decisions are made in any thread, one at a time. A decision is no error: errors are about the decision that could not be made, and
 * mean no.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CRYPTO_AUTHZ_H
#define CRYPTO_AUTHZ_H

#include "qapi/qapi-types-authz.h"
#include "qom/object.h"

#define TYPE_QAUTHZ "authz"
OBJECT_DECLARE_TYPE(QAuthZ, QAuthZClass, QAUTHZ)

#define TYPE_QAUTHZ_SIMPLE "authz-simple"
#define TYPE_QAUTHZ_LIST "authz-list"
#define TYPE_QAUTHZ_LIST_FILE "authz-list-file"
#define TYPE_QAUTHZ_PAM "authz-pam"

struct QAuthZ {
    Object parent_obj;
};

struct QAuthZClass {
    ObjectClass parent_class;
    bool (*is_allowed)(QAuthZ *authz, const char *identity, Error **errp);
};

bool qauthz_is_allowed(QAuthZ *authz, const char *identity, Error **errp);
/* The same, by the object of that id. */
bool qauthz_is_allowed_by_id(const char *id, const char *identity, Error **errp);

/* For setters: no decision is being made in between. */
void qauthz_lock(void);
void qauthz_unlock(void);

/* What the first rule that fits says, else @policy. */
bool qauthz_rules_allow(QAuthZListRuleList *rules, QAuthZListPolicy policy, const char *identity);

#endif /* CRYPTO_AUTHZ_H */
