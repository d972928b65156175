/*
 * What a source reads on the return path, by the thread that reads it in the program: before the
 * switch to postcopy, in it, and in recoveries. First byte: capabilities postcopy-preempt (1),
 * release-ram (2) and switchover-ack (4), and an end of the preempt channel as QEMU before 8.0 has
 * it (8). Then parts (fuzz-pipe.h): what the migration thread does, and messages that come behind
 * that.
 *   m  nothing
 *   s  the switch
 *   b  one run of pages in the background; B  all that are left
 *   c  all that are left, while the messages come
 *   q  asks how far the destination is (release-ram); g  gives memory back
 *   e  the end of the stream
 *   r  the connection breaks, and there is another
 *   a  goes on with that, if it is known what is missing
 * What the source writes is read again: no page may go twice over a connection, nor one that is
 * none of those that were left, and in the end all of them must have gone.
 * With FUZZ_TELL set it says what became of the input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz-pipe.h"
#include "qemu/cutils.h"
#include "../../migration/migration.h"
#include "../../migration/postcopy.h"
#include "../../migration/ram-postcopy.h"
#include "../../migration/ram-release.h"
#include "../../migration/ram.h"
#include "../../migration/savevm.h"

#define RAM_PAGES (FUZZ_RAM_SIZE / TARGET_PAGE_SIZE)

/* What was left to go when the connection was taken into use, how often it went, what stayed. */
typedef struct Tally {
    RAMBlock *rb;
    bool left[RAM_PAGES];
    unsigned sent[RAM_PAGES];
    bool stayed[RAM_PAGES];
} Tally;

static Tally tallies[2];

/* Of one input. */
static struct {
    MigrationState *s;
    FuzzPipe *main, *preempt;
    bool begun, attached;
    bool released;       /* memory may have gone */
    unsigned sent, connections;
} run;

static void fill_memory(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(tallies); i++) {
        RAMBlock *rb = tallies[i].rb;

        for (uint64_t page = 1; page < ram_block_pages(rb); page += 11) {
            memset(rb->host + page * TARGET_PAGE_SIZE, page | 1, TARGET_PAGE_SIZE);
        }
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    tallies[1].rb = fuzz_postcopy_machine();
    tallies[0].rb = qemu_ram_block_by_name("ram");
    run.s = migrate_get_current();
    run.s->capabilities[MIGRATION_CAPABILITY_POSTCOPY_RAM] = true;
    fill_memory();
    return 0;
}

/* --- what it writes --- */

static void note_left(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(tallies); i++) {
        Tally *t = &tallies[i];

        memset(t->sent, 0, sizeof(t->sent));
        for (uint64_t page = 0; page < ram_block_pages(t->rb); page++) {
            t->left[page] = test_bit(page, t->rb->bmap);
            if (t->stayed[page] && !t->left[page]) {
                abort();        /* nobody can have got it */
            }
        }
    }
}

static void note_stayed(bool stayed)
{
    for (size_t i = 0; i < ARRAY_SIZE(tallies); i++) {
        Tally *t = &tallies[i];

        for (uint64_t page = 0; page < ram_block_pages(t->rb); page++) {
            t->stayed[page] = stayed && test_bit(page, t->rb->bmap);
        }
    }
}

static Tally *tally_of(const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(tallies); i++) {
        const char *idstr = tallies[i].rb->idstr;

        if (len == strlen(idstr) && !memcmp(name, idstr, len)) {
            return &tallies[i];
        }
    }
    abort();
}

typedef struct Reader {
    const uint8_t *p, *end;
    Tally *block;        /* of the last record */
} Reader;

/* NULL: it is cut off, as it may be where the connection broke. */
static const uint8_t *take(Reader *r, size_t n)
{
    const uint8_t *p = r->p;

    if ((size_t)(r->end - p) < n) {
        r->p = r->end;
        return NULL;
    }
    r->p += n;
    return p;
}

static void count_page(Tally *t, uint64_t offset, const uint8_t *content)
{
    uint64_t page = offset >> TARGET_PAGE_BITS;
    const uint8_t *host = t->rb->host + offset;

    if (offset >= t->rb->used_length || !t->left[page] || t->sent[page]++) {
        abort();
    }
    if (!run.released && (content ? memcmp(content, host, TARGET_PAGE_SIZE) != 0
                                  : !buffer_is_zero(host, TARGET_PAGE_SIZE))) {
        abort();
    }
    run.sent++;
}

/* Up to EOS, or to what is cut off. */
static void read_records(Reader *r)
{
    const uint8_t *p, *name;

    while ((p = take(r, 8))) {
        uint64_t header = ldq_be_p(p), offset = header & TARGET_PAGE_MASK;
        uint64_t flags = header & ~TARGET_PAGE_MASK;

        if (flags == RAM_SAVE_FLAG_EOS) {
            return;
        }
        if (!(flags & RAM_SAVE_FLAG_CONTINUE)) {
            p = take(r, 1);
            name = p ? take(r, *p) : NULL;
            if (!name) {
                return;
            }
            r->block = tally_of(name, *p);
        }
        flags &= ~(uint64_t)RAM_SAVE_FLAG_CONTINUE;
        if (!r->block || (flags != RAM_SAVE_FLAG_ZERO && flags != RAM_SAVE_FLAG_PAGE)) {
            abort();
        }
        p = take(r, flags == RAM_SAVE_FLAG_ZERO ? 1 : TARGET_PAGE_SIZE);
        if (!p) {
            return;
        }
        count_page(r->block, offset, flags == RAM_SAVE_FLAG_ZERO ? NULL : p);
    }
}

static void read_main(const FuzzPipe *pipe)
{
    Reader r = {pipe->out->data, pipe->out->data + pipe->out->len};
    const uint8_t *p;

    while ((p = take(&r, 1))) {
        switch (*p) {
        case QEMU_VM_EOF:
            break;
        case QEMU_VM_COMMAND:
            p = take(&r, 4);
            take(&r, p ? lduw_be_p(p + 2) : 0);
            break;
        case QEMU_VM_SECTION_PART:
        case QEMU_VM_SECTION_END:
            take(&r, 4);
            read_records(&r);
            p = take(&r, 5);
            if (p && *p != QEMU_VM_SECTION_FOOTER) {
                abort();
            }
            break;
        default:
            abort();
        }
    }
}

static void read_preempt(const FuzzPipe *pipe)
{
    Reader r = {pipe->out->data, pipe->out->data + pipe->out->len};

    while (r.p != r.end) {
        read_records(&r);
    }
}

/* @all: nothing was left. */
static void check_sent(bool all)
{
    read_main(run.main);
    if (run.preempt) {
        read_preempt(run.preempt);
    }
    for (size_t i = 0; i < ARRAY_SIZE(tallies) && all; i++) {
        for (uint64_t page = 0; page < ram_block_pages(tallies[i].rb); page++) {
            if (tallies[i].left[page] != tallies[i].sent[page]) {
                abort();
            }
        }
    }
}

/* What is counted is what is there, and whole host pages. Nobody else is at it. */
static void check_bitmaps(void)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(tallies); i++) {
        RAMBlock *rb = tallies[i].rb;
        uint64_t unit = MAX(rb->page_size >> TARGET_PAGE_BITS, 1);

        for (uint64_t page = 0; page < ram_block_pages(rb); page += unit) {
            uint64_t k = bitmap_count_one_with_offset(rb->bmap, page, unit);

            if (k && k != unit) {
                abort();
            }
            n += k;
        }
    }
    if (ram_bytes_remaining() != n << TARGET_PAGE_BITS) {
        abort();
    }
}

/* --- what the migration thread does --- */

static bool works(void)
{
    return run.attached && run.s->state == MIGRATION_STATUS_POSTCOPY_ACTIVE &&
           !qemu_file_get_error(run.s->to_dst_file);
}

static void connect_main(void)
{
    run.connections++;
    run.main = fuzz_pipe_new();
    run.s->to_dst_file = qemu_file_new_output(fuzz_pipe_channel(run.main));
    open_return_path_on_source(run.s);
}

static void attach(void)
{
    if (run.s->capabilities[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT]) {
        run.preempt = fuzz_pipe_new();
        run.s->postcopy.preempt_file = qemu_file_new_output(fuzz_pipe_channel(run.preempt));
    }
    note_left();
    run.attached = true;
    ram_postcopy_attach(run.s->to_dst_file, run.s->postcopy.preempt_file);
}

static void disconnect(bool all)
{
    MigrationState *s = run.s;

    fuzz_pipe_end(run.main);
    while (!qatomic_mb_read(&s->rp_state.ended)) {
        fuzz_wait();
    }
    close_return_path_on_source(s, true);
    ram_postcopy_detach();
    check_bitmaps();
    g_clear_pointer(&s->to_dst_file, qemu_fclose);
    g_clear_pointer(&s->postcopy.preempt_file, qemu_fclose);
    if (run.attached) {
        check_sent(all);
        note_stayed(true);
    }
    run.attached = false;
    g_clear_pointer(&run.main, fuzz_pipe_free);
    g_clear_pointer(&run.preempt, fuzz_pipe_free);
}

static void switch_over(void)
{
    FuzzPipe *pipe = fuzz_pipe_new();
    QEMUFile *f = qemu_file_new_output(fuzz_pipe_channel(pipe));

    bql_lock();
    ram_postcopy_begin(f);
    bql_unlock();
    qemu_fclose(f);
    fuzz_pipe_free(pipe);
    run.begun = run.s->postcopy.switched = run.s->committed = true;
    attach();
    qatomic_set(&run.s->state, MIGRATION_STATUS_POSTCOPY_ACTIVE);
}

static void send_all(void)
{
    while (ram_postcopy_send_run() > 0) {
        /* on */
    }
}

static void ask(void)
{
    ram_postcopy_claim_main();
    qemu_savevm_send_ping(run.s->to_dst_file, ram_release_question());
    ram_postcopy_release_main();
}

static void reconnect(void)
{
    disconnect(false);
    migrate_replace_error(run.s, NULL);
    qatomic_set(&run.s->postcopy.end_sent, false);
    qatomic_set(&run.s->state, MIGRATION_STATUS_POSTCOPY_RECOVER);
    connect_main();
    ram_postcopy_ask_bitmaps(run.s->to_dst_file);
    fuzz_pipe_forget_out(run.main);
}

static void go_on(void)
{
    MigrationState *s = run.s;
    Error *err = NULL;

    if (ram_postcopy_bitmaps_missing() || qemu_file_get_error(s->to_dst_file)) {
        return;
    }
    attach();
    ram_postcopy_claim_main();
    qemu_savevm_send_postcopy_resume(s->to_dst_file);
    ram_postcopy_release_main();
    if (!ram_postcopy_serve_kept(&err)) {
        error_free(err);
    }
}

static void do_work(char kind)
{
    if (kind == 's' && !run.begun) {
        switch_over();
    } else if (kind == 'r' && run.begun) {
        reconnect();
    } else if (kind == 'a' && run.s->state == MIGRATION_STATUS_POSTCOPY_RECOVER && !run.attached) {
        go_on();
    }
    if (!works()) {
        return;
    }
    if (kind == 'b') {
        ram_postcopy_send_run();
    } else if (kind == 'B') {
        send_all();
    } else if (kind == 'q' && run.s->capabilities[MIGRATION_CAPABILITY_RELEASE_RAM]) {
        ask();
    } else if (kind == 'g' && qatomic_read(&run.s->postcopy.devices_loaded)) {
        run.released |= run.s->capabilities[MIGRATION_CAPABILITY_RELEASE_RAM];
        ram_release_run();
    } else if (kind == 'e' && !ram_bytes_remaining()) {
        ram_postcopy_end();
        qatomic_set(&run.s->postcopy.end_sent, true);
    }
}

static void play(const FuzzPart *part)
{
    do_work(part->kind);
    fuzz_pipe_put(run.main, part->data, part->size);
    if (part->kind == 'c' && works()) {
        send_all();
    }
    while (!qatomic_mb_read(&run.s->rp_state.ended) && !fuzz_pipe_idle(run.main)) {
        fuzz_wait();
    }
    check_bitmaps();
    if (run.attached && run.s->state == MIGRATION_STATUS_POSTCOPY_RECOVER &&
        qatomic_mb_read(&run.s->rp_state.resume_acked)) {
        qatomic_set(&run.s->postcopy.devices_loaded, true);
        qatomic_set(&run.s->state, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    }
}

/* --- an input --- */

static void begin(uint8_t options)
{
    MigrationState *s = run.s;
    FuzzPipe *pipe = fuzz_pipe_new();
    QEMUFile *f = qemu_file_new_output(fuzz_pipe_channel(pipe));

    s->capabilities[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT] = options & 1;
    s->capabilities[MIGRATION_CAPABILITY_RELEASE_RAM] = options & 2;
    s->capabilities[MIGRATION_CAPABILITY_SWITCHOVER_ACK] = options & 4;
    s->preempt_pre_7_2 = options & 8;
    s->state = MIGRATION_STATUS_ACTIVE;
    s->committed = false;
    migration_postcopy_reset(s);
    run.begun = run.attached = run.released = false;
    note_stayed(false);
    run.sent = run.connections = 0;
    bql_unlock();
    qemu_savevm_state_header(f);
    qemu_savevm_state_setup(f, &error_abort);
    qemu_fclose(f);
    fuzz_pipe_free(pipe);
    connect_main();
}

static void end(void)
{
    MigrationState *s = run.s;
    g_autofree char *why = NULL;
    bool all = works();

    if (all) {
        send_all();
        all = works();
    }
    disconnect(all);
    why = s->error ? g_strdup(error_get_pretty(s->error)) : NULL;
    migrate_replace_error(s, NULL);
    bql_lock();
    migration_postcopy_cleanup(s);
    qemu_savevm_state_cleanup();
    if (run.released) {
        fill_memory();
    }
    if (getenv("FUZZ_TELL")) {
        printf("%u connections, %u pages sent, %s; %s\n", run.connections, run.sent,
               all ? "all" : "some left", why ? why : "well");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    begin(*data++);
    size--;
    while (size) {
        FuzzPart part = fuzz_next_part(&data, &size, 'm');

        play(&part);
    }
    end();
    return 0;
}
