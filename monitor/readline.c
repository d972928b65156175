/*
 * Line editing: see monitor/readline.h.
 *
 * The line on the terminal is kept equal to the one in memory: adding at the end echoes, anything
 * else rewrites the line from its beginning. Lines that are wider than the terminal wrap and are
 * then not redrawn prettily, but they stay correct.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/readline.h"

#define HISTORY_MAX 64
#define LINE_MAX_LEN 4096

enum { CTRL_A = 1, CTRL_B, CTRL_C, CTRL_D, CTRL_E, CTRL_F, CTRL_H = 8, TAB, LF, CTRL_K, CTRL_L, CR,
       CTRL_N, CTRL_P = 16, CTRL_U = 21, CTRL_W = 23, ESC = 27, DEL = 127 };

struct ReadLineState {
    const ReadLineOps *ops;
    void *opaque;
    char *prompt;
    GString *line;
    size_t cursor;
    GPtrArray *history;    /* of char *, oldest first */
    guint history_at;      /* line shown; history->len: the new one */
    char *stash;           /* the new line while an old one is shown */
    enum { PLAIN, ESCAPE, CSI, SS3 } state;
    int csi_number;
    bool last_was_cr;
    GPtrArray *candidates; /* of char *, while completing */
    size_t complete_len;
};

static void out(ReadLineState *rs, const char *text)
{
    rs->ops->puts(rs->opaque, text);
}

static void redraw(ReadLineState *rs)
{
    size_t behind = rs->line->len - rs->cursor;

    out(rs, "\r");
    out(rs, rs->prompt);
    out(rs, rs->line->str);
    out(rs, "\033[K");
    if (behind) {
        g_autofree char *back = g_strdup_printf("\033[%zuD", behind);

        out(rs, back);
    }
}

void readline_show_prompt(ReadLineState *rs)
{
    out(rs, rs->prompt);
    if (rs->line->len) {
        redraw(rs);
    }
    rs->ops->flush(rs->opaque);
}

void readline_restart(ReadLineState *rs)
{
    g_string_truncate(rs->line, 0);
    rs->cursor = 0;
    rs->history_at = rs->history->len;
    g_clear_pointer(&rs->stash, g_free);
}

static void insert(ReadLineState *rs, char c)
{
    if (rs->line->len >= LINE_MAX_LEN) {
        return;
    }
    g_string_insert_c(rs->line, rs->cursor++, c);
    if (rs->cursor == rs->line->len) {
        out(rs, (char[]){ c, 0 });
    } else {
        redraw(rs);
    }
}

static void erase(ReadLineState *rs, size_t from, size_t to)
{
    if (from < to) {
        g_string_erase(rs->line, from, to - from);
        rs->cursor = from;
        redraw(rs);
    }
}

static void erase_word(ReadLineState *rs)
{
    size_t start = rs->cursor;

    while (start && rs->line->str[start - 1] == ' ') {
        start--;
    }
    while (start && rs->line->str[start - 1] != ' ') {
        start--;
    }
    erase(rs, start, rs->cursor);
}

static void move_to(ReadLineState *rs, size_t cursor)
{
    if (cursor <= rs->line->len && cursor != rs->cursor) {
        rs->cursor = cursor;
        redraw(rs);
    }
}

/* ---- history ---- */

static void remember(ReadLineState *rs)
{
    const char *text = rs->line->str;

    if (!*text) {
        return;
    }
    for (guint i = 0; i < rs->history->len; i++) {
        if (g_str_equal(g_ptr_array_index(rs->history, i), text)) {
            g_ptr_array_remove_index(rs->history, i);
            break;
        }
    }
    if (rs->history->len >= HISTORY_MAX) {
        g_ptr_array_remove_index(rs->history, 0);
    }
    g_ptr_array_add(rs->history, g_strdup(text));
}

static void show_history(ReadLineState *rs, guint at)
{
    const char *text;

    if (at > rs->history->len || at == rs->history_at) {
        return;
    }
    if (rs->history_at == rs->history->len) {
        g_free(rs->stash);
        rs->stash = g_strdup(rs->line->str);
    }
    text = at < rs->history->len ? g_ptr_array_index(rs->history, at) : rs->stash;
    rs->history_at = at;
    g_string_assign(rs->line, text);
    rs->cursor = rs->line->len;
    redraw(rs);
}

const char *readline_get_history(ReadLineState *rs, unsigned int i)
{
    return i < rs->history->len ? g_ptr_array_index(rs->history, i) : NULL;
}

/* ---- completion ---- */

void readline_set_completion_index(ReadLineState *rs, size_t n)
{
    rs->complete_len = n;
}

void readline_add_completion(ReadLineState *rs, const char *text)
{
    for (guint i = 0; i < rs->candidates->len; i++) {
        if (g_str_equal(g_ptr_array_index(rs->candidates, i), text)) {
            return;
        }
    }
    g_ptr_array_add(rs->candidates, g_strdup(text));
}

void readline_add_completion_of(ReadLineState *rs, const char *str, const char *text)
{
    if (g_str_has_prefix(text, str)) {
        readline_add_completion(rs, text);
    }
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_candidates(ReadLineState *rs)
{
    size_t width = 0, columns;

    for (guint i = 0; i < rs->candidates->len; i++) {
        width = MAX(width, strlen(g_ptr_array_index(rs->candidates, i)) + 2);
    }
    columns = MAX(80 / MAX(width, 1), 1);
    out(rs, "\n");
    for (guint i = 0; i < rs->candidates->len; i++) {
        g_autofree char *cell = g_strdup_printf("%-*s", (int)width,
                                                (char *)g_ptr_array_index(rs->candidates, i));

        out(rs, cell);
        if ((i + 1) % columns == 0 || i + 1 == rs->candidates->len) {
            out(rs, "\n");
        }
    }
    redraw(rs);
}

/* How many characters all candidates begin with. */
static size_t common_prefix(ReadLineState *rs)
{
    const char *first = g_ptr_array_index(rs->candidates, 0);
    size_t len = strlen(first);

    for (guint i = 1; i < rs->candidates->len; i++) {
        const char *other = g_ptr_array_index(rs->candidates, i);
        size_t n = 0;

        while (n < len && first[n] == other[n]) {
            n++;
        }
        len = n;
    }
    return len;
}

static void complete(ReadLineState *rs)
{
    g_autofree char *head = g_strndup(rs->line->str, rs->cursor);
    const char *first;
    size_t known, common;

    rs->candidates = g_ptr_array_new_with_free_func(g_free);
    rs->complete_len = 0;
    rs->ops->complete(rs->opaque, head);
    g_ptr_array_sort(rs->candidates, by_name);
    if (rs->candidates->len) {
        first = g_ptr_array_index(rs->candidates, 0);
        known = MIN(rs->complete_len, strlen(first));
        common = common_prefix(rs);
        for (size_t i = known; i < common; i++) {
            insert(rs, first[i]);
        }
        if (rs->candidates->len == 1 && common && !strchr("/=,", first[common - 1])) {
            insert(rs, ' ');
        } else if (rs->candidates->len > 1 && common <= known) {
            list_candidates(rs);
        }
    }
    g_clear_pointer(&rs->candidates, g_ptr_array_unref);
}

/* ---- keys ---- */

static void enter(ReadLineState *rs)
{
    g_autofree char *text = g_strdup(rs->line->str);

    remember(rs);
    out(rs, "\n");
    readline_restart(rs);
    rs->ops->line(rs->opaque, text);
}

static void csi_key(ReadLineState *rs, uint8_t c)
{
    switch (c) {
    case 'A':
        show_history(rs, rs->history_at - 1);
        break;
    case 'B':
        show_history(rs, rs->history_at + 1);
        break;
    case 'C':
        move_to(rs, rs->cursor + 1);
        break;
    case 'D':
        move_to(rs, rs->cursor - 1);
        break;
    case 'H':
        move_to(rs, 0);
        break;
    case 'F':
        move_to(rs, rs->line->len);
        break;
    case '~':
        if (rs->csi_number == 1 || rs->csi_number == 7) {
            move_to(rs, 0);
        } else if (rs->csi_number == 4 || rs->csi_number == 8) {
            move_to(rs, rs->line->len);
        } else if (rs->csi_number == 3) {
            erase(rs, rs->cursor, MIN(rs->cursor + 1, rs->line->len));
        }
        break;
    }
}

static void plain_key(ReadLineState *rs, uint8_t c)
{
    bool after_cr = rs->last_was_cr;

    rs->last_was_cr = c == CR;
    switch (c) {
    case CR:
        enter(rs);
        break;
    case LF:
        if (!after_cr) {
            enter(rs);
        }
        break;
    case TAB:
        complete(rs);
        break;
    case CTRL_A:
        move_to(rs, 0);
        break;
    case CTRL_E:
        move_to(rs, rs->line->len);
        break;
    case CTRL_B:
        move_to(rs, rs->cursor - 1);
        break;
    case CTRL_F:
        move_to(rs, rs->cursor + 1);
        break;
    case CTRL_D:
        erase(rs, rs->cursor, MIN(rs->cursor + 1, rs->line->len));
        break;
    case CTRL_K:
        erase(rs, rs->cursor, rs->line->len);
        break;
    case CTRL_L:
        out(rs, "\033[H\033[2J");
        redraw(rs);
        break;
    case CTRL_C:
    case CTRL_U:
        erase(rs, 0, rs->line->len);
        break;
    case CTRL_W:
        erase_word(rs);
        break;
    case CTRL_P:
        show_history(rs, rs->history_at - 1);
        break;
    case CTRL_N:
        show_history(rs, rs->history_at + 1);
        break;
    case CTRL_H:
    case DEL:
        if (rs->cursor) {
            erase(rs, rs->cursor - 1, rs->cursor);
        }
        break;
    case ESC:
        rs->state = ESCAPE;
        break;
    default:
        if (c >= ' ') {
            insert(rs, c);
        }
    }
}

void readline_handle_byte(ReadLineState *rs, uint8_t c)
{
    switch (rs->state) {
    case PLAIN:
        plain_key(rs, c);
        break;
    case ESCAPE:
        rs->csi_number = 0;
        rs->state = c == '[' ? CSI : c == 'O' ? SS3 : PLAIN;
        break;
    case CSI:
        if (g_ascii_isdigit(c)) {
            rs->csi_number = (rs->csi_number * 10 + c - '0') % 1000;
        } else if (c >= 0x40) {
            rs->state = PLAIN;
            csi_key(rs, c);
        }
        break;
    case SS3:
        rs->state = PLAIN;
        csi_key(rs, c);
        break;
    }
    rs->ops->flush(rs->opaque);
}

ReadLineState *readline_new(const ReadLineOps *ops, void *opaque, const char *prompt)
{
    ReadLineState *rs = g_new0(ReadLineState, 1);

    rs->ops = ops;
    rs->opaque = opaque;
    rs->prompt = g_strdup(prompt);
    rs->line = g_string_new(NULL);
    rs->history = g_ptr_array_new_with_free_func(g_free);
    return rs;
}

void readline_free(ReadLineState *rs)
{
    if (rs) {
        g_free(rs->prompt);
        g_free(rs->stash);
        g_string_free(rs->line, true);
        g_ptr_array_free(rs->history, true);
        g_free(rs);
    }
}
