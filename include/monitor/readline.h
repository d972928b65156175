/*
 * Line editing on a byte stream that ends at a terminal: cursor keys, history, completion.
 *
 * Locking: the owner's; nothing here is shared.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_READLINE_H
#define MONITOR_READLINE_H

#include "qemu/osdep.h"

typedef struct ReadLineState ReadLineState;

typedef struct ReadLineOps {
    void (*puts)(void *opaque, const char *text);
    void (*flush)(void *opaque);
    /* A line was entered; valid during the call. readline_show_prompt() asks for the next. */
    void (*line)(void *opaque, const char *line);
    /* Tab: offer readline_add_completion() for the last word of @line. */
    void (*complete)(void *opaque, const char *line);
} ReadLineOps;

/* @prompt is copied, @ops and @opaque are kept. */
ReadLineState *readline_new(const ReadLineOps *ops, void *opaque, const char *prompt);
void readline_free(ReadLineState *rs);
void readline_handle_byte(ReadLineState *rs, uint8_t byte);
/* Prints the prompt and what was typed so far. */
void readline_show_prompt(ReadLineState *rs);
/* Forget the line being edited. */
void readline_restart(ReadLineState *rs);

/*
 * From within complete(): how many characters of the line the candidates share
 * already, and one that fits.
 * A space follows when it is the only one.
 */
void readline_set_completion_index(ReadLineState *rs, size_t n);
void readline_add_completion(ReadLineState *rs, const char *text);
/* The same, if @text begins with @str. */
void readline_add_completion_of(ReadLineState *rs, const char *str, const char *text);

/* The i-th line of the history, oldest first; NULL behind the last. */
const char *readline_get_history(ReadLineState *rs, unsigned int i);

#endif
