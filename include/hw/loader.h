/*
 * Images that lie in guest memory when the machine starts, and again after every reset.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_LOADER_H
#define HW_LOADER_H

#include "exec/hwaddr.h"
#include "qapi/error.h"

/**
 * Put @len bytes of @data, and @zeros zero bytes behind them, at @addr with every reset (not while
 * a stream is awaited, which brings its own memory). @name is for messages. Takes @data, which came
 * from g_malloc(). False and an error if it overlaps what is there already.
 */
bool rom_add_blob(const char *name, void *data, uint64_t len, uint64_t zeros, hwaddr addr,
                  Error **errp);

/** One line a ROM, for a person. */
void rom_describe(GString *out);

/** The end of the highest image below @limit; 0 if there is none. */
hwaddr rom_highest_end(hwaddr limit);

/** A whole file, at most @max bytes, to be freed with g_free(); *@len. NULL and an error. */
void *load_file(const char *path, uint64_t max, uint64_t *len, Error **errp);

#endif
