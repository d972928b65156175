/*
 * The qtest protocol server: a test client sends a line, and gets a line that begins with OK or
 * FAIL.
 *
 * Accesses are guest-physical, go through the address spaces like those of a device (so writes
 * mark pages dirty), and work in every run state. Nothing that a client sends ends the program:
 * what is not understood is answered with FAIL and a reason.
 *
 * Everything runs on the main thread under the BQL. Memory is bounded: a line holds at most
 * QTEST_MAX_LINE bytes, one access at most QTEST_MAX_ACCESS, and while answers cannot be sent no
 * further input is taken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-fe.h"
#include "hw/irq.h"
#include "hw/qdev-core.h"
#include "qemu/cutils.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/ioport.h"
#include "system/memory.h"
#include "system/qtest.h"

#define QTEST_MAX_ACCESS (64u << 20)                 /* bytes of guest memory in one command */
#define QTEST_MAX_LINE   (2u * QTEST_MAX_ACCESS + 4096) /* two hex digits a byte, and the words */
#define QTEST_MAX_IRQ    256
#define QTEST_MAX_WORDS  10
#define QTEST_CHUNK      65536                       /* bytes taken from the socket at a time */

typedef struct QTestTap {
    qemu_irq next;                  /* where the wire led before */
} QTestTap;

static struct {
    CharBackend chr;
    bool active;
    GString *in;                    /* what came of a line so far */
    size_t scanned;                 /* bytes of it known to hold no line end */
    bool discarding;                /* the rest of a line that was too long */
    GString *out;                   /* answers not sent yet */
    size_t sent;                    /* bytes of out that are */
    guint out_watch;
    FILE *log;
    int64_t start;                  /* ns, when the client came */
    DeviceState *intercepted;       /* whose lines are reported; NULL: nobody's */
    bool level[QTEST_MAX_IRQ];
} qtest;

bool qtest_driver(void)
{
    return qtest.active;
}

/* ---- output ---- */

static double qtest_time(void)
{
    return (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - qtest.start) / 1e9;
}

static void qtest_log_line(char kind, const char *text, size_t len)
{
    if (qtest.log) {
        fprintf(qtest.log, "[%c %s%.6f] %.*s\n", kind, kind == 'I' ? "" : "+",
                qtest_time(), (int)MIN(len, INT_MAX), text);
    }
}

static gboolean qtest_flush(void *do_not_use, GIOCondition condition, void *data);

/* Send what can be sent; have the rest sent when there is room. */
static void qtest_push(void)
{
    while (qtest.sent < qtest.out->len) {
        int n = qemu_chr_fe_write(&qtest.chr, (uint8_t *)qtest.out->str + qtest.sent,
                                  MIN(qtest.out->len - qtest.sent, INT_MAX));

        if (n <= 0) {
            if (!qtest.out_watch) {
                qtest.out_watch = qemu_chr_fe_add_watch(&qtest.chr, G_IO_OUT | G_IO_HUP,
                                                        qtest_flush, NULL);
            }
            if (qtest.out_watch) {
                return;
            }
            break; /* the device can't tell when: what it does not take is lost */
        }
        qtest.sent += n;
    }
    qtest.sent = 0;
    if (qtest.out->allocated_len > 4 * QTEST_CHUNK) {
        g_string_free(qtest.out, true);
        qtest.out = g_string_new(NULL);
    } else {
        g_string_truncate(qtest.out, 0);
    }
}

static gboolean qtest_flush(void *do_not_use, GIOCondition condition, void *data)
{
    qtest.out_watch = 0;
    qtest_push();
    if (!qtest.out->len) {
        qemu_chr_fe_accept_input(&qtest.chr);
    }
    return G_SOURCE_REMOVE;
}

/* One line of answer, given without its end. */
static void G_GNUC_PRINTF(1, 2) qtest_reply(const char *fmt, ...)
{
    size_t begin = qtest.out->len;
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(qtest.out, fmt, ap);
    va_end(ap);
    qtest_log_line('S', qtest.out->str + begin, qtest.out->len - begin);
    g_string_append_c(qtest.out, '\n');
}

/* ---- interrupt lines ---- */

static void qtest_irq_changed(int n, int level)
{
    if (n < 0 || n >= QTEST_MAX_IRQ || qtest.level[n] == !!level) {
        return;
    }
    qtest.level[n] = level;
    qtest_reply("IRQ %s %d", level ? "raise" : "lower", n);
    qtest_push();
}

/* Of an input: opaque is the wire that leads to the device's own handler. */
static void qtest_irq_in_handler(void *opaque, int n, int level)
{
    qemu_irq next = opaque;

    qemu_set_irq(next, level);
    qtest_irq_changed(n, level);
}

static void qtest_irq_out_handler(void *opaque, int n, int level)
{
    QTestTap *tap = opaque;

    qemu_set_irq(tap->next, level);
    qtest_irq_changed(n, level);
}

static DeviceState *qtest_device(const char *path)
{
    Object *obj = object_resolve_path(path, NULL);

    return obj ? (DeviceState *)object_dynamic_cast(obj, TYPE_DEVICE) : NULL;
}

static const char *qtest_gpio_name(const char *word)
{
    return !word || g_str_equal(word, "unnamed-gpio-in") ||
           g_str_equal(word, "unnamed-gpio-out") ? NULL : word;
}

static void qtest_cmd_intercept(char **words, int n)
{
    bool out = g_str_equal(words[0], "irq_intercept_out");
    const char *name = qtest_gpio_name(n > 2 ? words[2] : NULL);
    DeviceState *dev = qtest_device(words[1]);
    NamedGPIOList *list;
    bool found = false;

    if (!dev) {
        qtest_reply("FAIL Unknown device");
        return;
    }
    if (qtest.intercepted) {
        if (qtest.intercepted == dev) {
            qtest_reply("OK");
        } else {
            qtest_reply("FAIL IRQ intercept already enabled");
        }
        return;
    }
    QLIST_FOREACH(list, &dev->gpios, node) {
        /* Without a name: all outputs, or the inputs that have none. */
        if ((n > 2 || !out) && g_strcmp0(list->name, name)) {
            continue;
        }
        found = true;
        if (!out) {
            qemu_irq_intercept_in(list->in, qtest_irq_in_handler, list->num_in);
            continue;
        }
        for (int i = 0; i < list->num_out; i++) {
            QTestTap *tap = g_new0(QTestTap, 1); /* lives as long as the wire */
            qemu_irq icpt = qemu_allocate_irq(qtest_irq_out_handler, tap, i);

            tap->next = qdev_intercept_gpio_out(dev, icpt, list->name, i);
        }
    }
    if (n > 2 && !found) {
        qtest_reply("FAIL Unknown GPIO list");
        return;
    }
    qtest.intercepted = dev;
    qtest_reply("OK");
}

static void qtest_cmd_set_irq_in(char **words, int n)
{
    DeviceState *dev = qtest_device(words[1]);
    const char *name = qtest_gpio_name(words[2]);
    NamedGPIOList *list;
    uint64_t num;
    int level;

    if (!dev) {
        qtest_reply("FAIL Unknown device");
        return;
    }
    if (parse_uint_full(words[3], 0, &num) || qemu_strtoi(words[4], NULL, 0, &level)) {
        qtest_reply("FAIL Invalid line or level");
        return;
    }
    QLIST_FOREACH(list, &dev->gpios, node) {
        if (!g_strcmp0(list->name, name) && num < list->num_in) {
            qemu_set_irq(list->in[num], level);
            qtest_reply("OK");
            return;
        }
    }
    qtest_reply("FAIL Unknown GPIO line");
}

/* ---- memory and ports ---- */

static MemTxResult qtest_mem(uint64_t addr, void *buf, uint64_t len, bool is_write)
{
    return address_space_rw(&address_space_memory, addr, MEMTXATTRS_UNSPECIFIED, buf, len,
                            is_write);
}

static void qtest_cmd_out(char **words, int n)
{
    uint64_t addr, value;

    if (parse_uint_full(words[1], 0, &addr) || addr > 0xffff ||
        parse_uint_full(words[2], 0, &value)) {
        qtest_reply("FAIL Invalid port or value");
        return;
    }
    switch (words[0][3]) {
    case 'b':
        cpu_outb(addr, value);
        break;
    case 'w':
        cpu_outw(addr, value);
        break;
    default:
        cpu_outl(addr, value);
        break;
    }
    qtest_reply("OK");
}

static void qtest_cmd_in(char **words, int n)
{
    uint64_t addr;
    uint32_t value;

    if (parse_uint_full(words[1], 0, &addr) || addr > 0xffff) {
        qtest_reply("FAIL Invalid port");
        return;
    }
    switch (words[0][2]) {
    case 'b':
        value = cpu_inb(addr);
        break;
    case 'w':
        value = cpu_inw(addr);
        break;
    default:
        value = cpu_inl(addr);
        break;
    }
    qtest_reply("OK 0x%04x", value);
}

static unsigned qtest_width(char suffix)
{
    return suffix == 'b' ? 1 : suffix == 'w' ? 2 : suffix == 'l' ? 4 : 8;
}

static void qtest_cmd_store(char **words, int n)
{
    uint64_t addr, value;

    if (parse_uint_full(words[1], 0, &addr) || parse_uint_full(words[2], 0, &value)) {
        qtest_reply("FAIL Invalid address or value");
        return;
    }
    value = cpu_to_le64(value); /* the guest's order: its low bytes come first */
    qtest_mem(addr, &value, qtest_width(words[0][5]), true);
    qtest_reply("OK");
}

static void qtest_cmd_load(char **words, int n)
{
    uint64_t addr, value = 0;

    if (parse_uint_full(words[1], 0, &addr)) {
        qtest_reply("FAIL Invalid address");
        return;
    }
    qtest_mem(addr, &value, qtest_width(words[0][4]), false);
    qtest_reply("OK 0x%016" PRIx64, le64_to_cpu(value));
}

/* Address and size of the commands for ranges. False: the answer has been given. */
static bool qtest_range(char **words, uint64_t *addr, uint64_t *len)
{
    if (parse_uint_full(words[1], 0, addr) || parse_uint_full(words[2], 0, len)) {
        qtest_reply("FAIL Invalid address or size");
        return false;
    }
    if (*len > QTEST_MAX_ACCESS) {
        qtest_reply("FAIL Size exceeds %u bytes", QTEST_MAX_ACCESS);
        return false;
    }
    return true;
}

static void qtest_cmd_read(char **words, int n)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t addr, len;
    g_autofree uint8_t *data = NULL;
    size_t begin = qtest.out->len;
    char *p;

    if (!qtest_range(words, &addr, &len)) {
        return;
    }
    if (!len) {
        qtest_reply("FAIL Invalid size");
        return;
    }
    data = g_malloc0(len);
    qtest_mem(addr, data, len, false);
    g_string_append(qtest.out, "OK 0x");
    p = qtest.out->str;
    g_string_set_size(qtest.out, qtest.out->len + len * 2 + 1);
    p = qtest.out->str + begin + 5;
    for (uint64_t i = 0; i < len; i++) {
        *p++ = digits[data[i] >> 4];
        *p++ = digits[data[i] & 15];
    }
    *p = '\n';
    qtest_log_line('S', qtest.out->str + begin, qtest.out->len - begin - 1);
}

static void qtest_cmd_b64read(char **words, int n)
{
    uint64_t addr, len;
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;

    if (!qtest_range(words, &addr, &len)) {
        return;
    }
    data = g_malloc0(len + 1);
    qtest_mem(addr, data, len, false);
    text = g_base64_encode(data, len);
    qtest_reply("OK %s", text);
}

static void qtest_cmd_write(char **words, int n)
{
    uint64_t addr, len;
    size_t have;
    g_autofree uint8_t *data = NULL;

    if (!qtest_range(words, &addr, &len)) {
        return;
    }
    if (!g_str_has_prefix(words[3], "0x") || !words[3][2] || !len) {
        qtest_reply("ERR invalid argument size");
        return;
    }
    have = strlen(words[3] + 2) / 2;
    data = g_malloc0(len); /* what the text is short of is written as zero */
    for (size_t i = 0; i < MIN(have, len); i++) {
        int high = g_ascii_xdigit_value(words[3][2 + 2 * i]);
        int low = g_ascii_xdigit_value(words[3][3 + 2 * i]);

        if (high < 0 || low < 0) {
            qtest_reply("FAIL Invalid hexadecimal data");
            return;
        }
        data[i] = high << 4 | low;
    }
    qtest_mem(addr, data, len, true);
    qtest_reply("OK");
}

static void qtest_cmd_b64write(char **words, int n)
{
    uint64_t addr, len;
    gsize have = 0;

    if (!qtest_range(words, &addr, &len)) {
        return;
    }
    g_base64_decode_inplace(words[3], &have);
    qtest_mem(addr, words[3], MIN(have, len), true);
    qtest_reply("OK");
}

static void qtest_cmd_memset(char **words, int n)
{
    uint64_t addr, len, value;

    if (parse_uint_full(words[1], 0, &addr) || parse_uint_full(words[2], 0, &len) ||
        parse_uint_full(words[3], 0, &value)) {
        qtest_reply("FAIL Invalid address, size or value");
        return;
    }
    /* The text does not grow with the size here, so only the time is bounded: whole guests may. */
    if (len > 1ull << 40) {
        qtest_reply("FAIL Size exceeds 1 TiB");
        return;
    }
    address_space_set(&address_space_memory, addr, value, len, MEMTXATTRS_UNSPECIFIED);
    qtest_reply("OK");
}

/* ---- the rest ---- */

static void qtest_cmd_endianness(char **words, int n)
{
    qtest_reply("OK little");
}

static void qtest_cmd_clock_step(char **words, int n)
{
    int64_t ns;

    if (n > 1) {
        if (qemu_strtoi64(words[1], NULL, 0, &ns) || ns < 0) {
            qtest_reply("FAIL Invalid time");
            return;
        }
    } else {
        ns = MAX(qemu_clock_deadline_ns(QEMU_CLOCK_VIRTUAL), 0);
    }
    if (__builtin_add_overflow(qtest_get_virtual_clock(), ns, &ns)) {
        qtest_reply("FAIL Invalid time");
        return;
    }
    qtest_clock_warp(ns);
    qtest_reply("OK %" PRIi64, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

static void qtest_cmd_clock_set(char **words, int n)
{
    int64_t ns;

    if (qemu_strtoi64(words[1], NULL, 0, &ns) || ns < 0) {
        qtest_reply("FAIL Invalid time");
        return;
    }
    qtest_clock_warp(ns);
    qtest_reply("OK %" PRIi64, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

/* Nothing is loaded at run time here, so all that there is, is there. */
static void qtest_cmd_module_load(char **words, int n)
{
    qtest_reply("OK");
}

typedef struct QTestCommand {
    const char *name;
    int min_words;                  /* the command's own included */
    void (*run)(char **words, int n);
    bool clock;                     /* only where the clock is ours to move */
} QTestCommand;

/* Those that come by the thousand stand first. */
static const QTestCommand qtest_commands[] = {
    { "readb", 2, qtest_cmd_load },
    { "readw", 2, qtest_cmd_load },
    { "readl", 2, qtest_cmd_load },
    { "readq", 2, qtest_cmd_load },
    { "writeb", 3, qtest_cmd_store },
    { "writew", 3, qtest_cmd_store },
    { "writel", 3, qtest_cmd_store },
    { "writeq", 3, qtest_cmd_store },
    { "read", 3, qtest_cmd_read },
    { "write", 4, qtest_cmd_write },
    { "memset", 4, qtest_cmd_memset },
    { "b64read", 3, qtest_cmd_b64read },
    { "b64write", 4, qtest_cmd_b64write },
    { "inb", 2, qtest_cmd_in },
    { "inw", 2, qtest_cmd_in },
    { "inl", 2, qtest_cmd_in },
    { "outb", 3, qtest_cmd_out },
    { "outw", 3, qtest_cmd_out },
    { "outl", 3, qtest_cmd_out },
    { "clock_step", 1, qtest_cmd_clock_step, .clock = true },
    { "clock_set", 2, qtest_cmd_clock_set, .clock = true },
    { "irq_intercept_in", 2, qtest_cmd_intercept },
    { "irq_intercept_out", 2, qtest_cmd_intercept },
    { "set_irq_in", 5, qtest_cmd_set_irq_in },
    { "endianness", 1, qtest_cmd_endianness },
    { "module_load", 2, qtest_cmd_module_load },
};

/* @line is taken apart in place. */
static void qtest_process_line(char *line, size_t len)
{
    char *words[QTEST_MAX_WORDS + 1];
    int n = 0;

    qtest_log_line('R', line, len);
    if (memchr(line, 0, len)) {
        qtest_reply("FAIL Line holds a zero byte");
        return;
    }
    while (line && n < QTEST_MAX_WORDS) {
        char *space = strchr(line, ' ');

        words[n++] = line;
        if (space) {
            *space++ = 0;
        }
        line = space;
    }
    words[n] = NULL;
    for (int i = 0; i < ARRAY_SIZE(qtest_commands); i++) {
        const QTestCommand *c = &qtest_commands[i];

        if (!g_str_equal(c->name, words[0])) {
            continue;
        }
        if (c->clock && !qemu_clock_is_qtest()) {
            break; /* unknown, as far as this machine goes */
        }
        if (n < c->min_words) {
            qtest_reply("FAIL Command '%s' lacks arguments", c->name);
            return;
        }
        c->run(words, n);
        return;
    }
    qtest_reply("FAIL Unknown command '%.128s'", words[0]);
}

/* ---- input ---- */

static int qtest_can_read(void *opaque)
{
    /* An unread answer holds back the next request, or the answers would pile up here. */
    return qtest.sent < qtest.out->len ? 0 : QTEST_CHUNK;
}

static void qtest_read(void *opaque, const uint8_t *buf, int size)
{
    size_t begin = 0;
    char *end;

    g_string_append_len(qtest.in, (const char *)buf, size);
    while ((end = memchr(qtest.in->str + qtest.scanned, '\n', qtest.in->len - qtest.scanned))) {
        size_t next = end - qtest.in->str + 1;

        *end = 0;
        if (qtest.discarding) {
            qtest.discarding = false;
            qtest_reply("FAIL Line exceeds %u bytes", QTEST_MAX_LINE);
        } else {
            qtest_process_line(qtest.in->str + begin, next - 1 - begin);
        }
        begin = qtest.scanned = next;
    }
    if (begin == qtest.in->len) {
        /* The usual case; a buffer that a long line blew up is given back. */
        if (qtest.in->allocated_len > 4 * QTEST_CHUNK) {
            g_string_free(qtest.in, true);
            qtest.in = g_string_new(NULL);
        } else {
            g_string_truncate(qtest.in, 0);
        }
    } else if (begin) {
        g_string_erase(qtest.in, 0, begin);
    }
    if (qtest.in->len > QTEST_MAX_LINE) {
        qtest.discarding = true;
    }
    if (qtest.discarding) {
        g_string_truncate(qtest.in, 0);
    }
    qtest.scanned = qtest.in->len;
    qtest_push();
}

static void qtest_reset_buffers(void)
{
    g_string_truncate(qtest.in, 0);
    g_string_truncate(qtest.out, 0);
    qtest.scanned = qtest.sent = 0;
    qtest.discarding = false;
    g_clear_handle_id(&qtest.out_watch, g_source_remove);
}

static void qtest_event(void *opaque, QEMUChrEvent event)
{
    switch (event) {
    case CHR_EVENT_OPENED:
        /* A new client finds the clock and memory as they are, and no old answers. */
        qtest_reset_buffers();
        memset(qtest.level, 0, sizeof(qtest.level));
        qtest.start = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
        qtest_log_line('I', "OPENED", 6);
        break;
    case CHR_EVENT_CLOSED:
        qtest_reset_buffers();
        qtest_log_line('I', "CLOSED", 6);
        break;
    default:
        break;
    }
}

bool qtest_server_init(const char *qtest_chrdev, const char *qtest_log, Error **errp)
{
    Chardev *chr;

    if (qtest.active) {
        error_setg(errp, "-qtest may be given only once");
        return false;
    }
    if (!qtest_log) {
        qtest.log = stderr;
    } else if (!g_str_equal(qtest_log, "none") && !g_str_equal(qtest_log, "/dev/null")) {
        qtest.log = fopen(qtest_log, "we");
        if (!qtest.log) {
            error_setg_file_open(errp, errno, qtest_log);
            return false;
        }
        setvbuf(qtest.log, NULL, _IOLBF, 0);
    }
    qtest.in = g_string_new(NULL);
    qtest.out = g_string_new(NULL);
    chr = qemu_chr_new("qtest", qtest_chrdev, NULL, errp);
    if (!chr) {
        if (errp && !*errp) {
            error_setg(errp, "Failed to initialize device for qtest: \"%s\"", qtest_chrdev);
        }
        goto fail;
    }
    if (!qemu_chr_fe_init(&qtest.chr, chr, errp)) {
        goto fail;
    }
    qtest.active = true;
    qemu_chr_fe_set_handlers(&qtest.chr, qtest_can_read, qtest_read, qtest_event, NULL, NULL,
                             NULL, true);
    qemu_chr_fe_set_echo(&qtest.chr, true);
    return true;

fail:
    g_string_free(g_steal_pointer(&qtest.in), true);
    g_string_free(g_steal_pointer(&qtest.out), true);
    if (qtest.log && qtest.log != stderr) {
        fclose(qtest.log);
    }
    qtest.log = NULL;
    return false;
}

void qtest_server_shutdown(void)
{
    if (!qtest.active) {
        return;
    }
    qtest.active = false;
    g_clear_handle_id(&qtest.out_watch, g_source_remove);
    qemu_chr_fe_deinit(&qtest.chr, false);
    g_string_free(g_steal_pointer(&qtest.in), true);
    g_string_free(g_steal_pointer(&qtest.out), true);
    if (qtest.log && qtest.log != stderr) {
        fclose(qtest.log);
    }
    qtest.log = NULL;
}
