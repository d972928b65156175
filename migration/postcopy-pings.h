/*
 * The numbers of PING and PONG that mean something in postcopy. A destination answers PING with
 * PONG of the same number, but for what is said here. See docs/stream-format.md.
 *
 * Between two of this program there are two more understandings, for which QEMU's has no messages:
 * that POSTCOPY_RUN may come by itself, behind the package; and which migration it is that is
 * resumed, so that no source goes on with somebody else's destination.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_PINGS_H
#define MIGRATION_POSTCOPY_PINGS_H

#define POSTCOPY_PING_DISCARDED 2
#define POSTCOPY_PING_LOADED 3
#define POSTCOPY_PING_PACKAGED 4
/* At setup: do you take RUN apart? This program's destination does. */
#define POSTCOPY_PING_ASK 0x476f6477u
#define POSTCOPY_PONG_RUN_APART 0x476f6478u
/*
 * Where RUN goes apart: the number of the next PING is the token of this migration. Once before the
 * guest is handed over, and at the begin of each recovery; then it has to be the same.
 */
#define POSTCOPY_PING_TOKEN 0x476f6479u
#define POSTCOPY_PONG_TOKEN_TAKEN 0x476f647au
#define POSTCOPY_PONG_TOKEN_OTHER 0x476f647bu
/* In all tokens, and in no other number above. */
#define POSTCOPY_TOKEN_BIT 0x80000000u

#endif
