/*
 * The log: which items are logged, and where lines of log and trace go. See qemu/log.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/thread.h"

int qemu_loglevel;

static char *log_name;            /* as given, "%d" in it; NULL: standard error */
static FILE *log_file;            /* shared by all threads */
static __thread FILE *thread_file; /* with LOG_PER_THREAD; closed when the program ends */
static QemuMutex log_lock;        /* log_file against being replaced */

static void __attribute__((constructor)) log_init(void)
{
    qemu_mutex_init(&log_lock);
}

/* Items, in the order in which -d help lists them. Those without a mask come from translators of
   code; there are none of their lines here. */
static const struct {
    int mask;
    const char *name, *help;
} items[] = {
    { 0, "out_asm", "host code of translated blocks" },
    { 0, "in_asm", "guest code of translated blocks" },
    { 0, "op", "intermediate code" },
    { 0, "op_opt", "intermediate code, optimised" },
    { 0, "op_ind", "intermediate code before indirect lowering" },
    { 0, "op_plugin", "intermediate code before plugins" },
    { 0, "int", "interrupts and exceptions" },
    { 0, "exec", "blocks that are executed" },
    { 0, "cpu", "registers before each block" },
    { 0, "fpu", "floating-point registers with them" },
    { 0, "mmu", "what the memory management unit does" },
    { 0, "pcall", "protected-mode far calls" },
    { CPU_LOG_RESET, "cpu_reset", "registers of each vCPU before it is reset" },
    { LOG_UNIMP, "unimp", "what a guest uses and is not there" },
    { LOG_GUEST_ERROR, "guest_errors", "what a guest does that makes no sense" },
    { 0, "page", "pages at the start of user-mode emulation" },
    { 0, "nochain", "do not chain blocks" },
    { 0, "plugin", "output of plugins" },
    { 0, "strace", "system calls of user-mode emulation" },
    { LOG_PER_THREAD, "tid", "a file for each thread; its name has %d for the thread's id" },
    { 0, "vpu", "vector registers" },
    { LOG_INVALID_MEM, "invalid_mem", "accesses to memory where there is none" },
};

void qemu_print_log_usage(FILE *f)
{
    fprintf(f, "Log items (comma separated):\n");
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        fprintf(f, "%-15s %s%s\n", items[i].name, items[i].help,
                items[i].mask ? "" : " (without effect here)");
    }
    fprintf(f, "trace:PATTERN   enable trace events\n");
    fprintf(f, "\nUse \"-d trace:help\" to get a list of trace events.\n\n");
}

static bool item_mask(const char *name, int *mask)
{
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        if (g_str_equal(items[i].name, name)) {
            if (!items[i].mask) {
                warn_report("log item '%s' has no effect here", name);
            }
            *mask |= items[i].mask;
            return true;
        }
    }
    return false;
}

bool qemu_str_to_log_mask(const char *text, int *mask, Error **errp)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);

    *mask = 0;
    for (char **name = names; *name; name++) {
        if (g_str_equal(*name, "none")) {
            continue;
        }
        if (g_str_equal(*name, "all")) {
            for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                *mask |= items[i].mask & ~LOG_PER_THREAD;
            }
        } else if (g_str_has_prefix(*name, "trace:") && (*name)[6]) {
            if (!trace_enable_events(*name + 6, true)) {
                warn_report("trace event '%s' does not exist", *name + 6);
            }
        } else if (!item_mask(*name, mask)) {
            error_setg(errp, "unknown log item '%s'; -d help lists them", *name);
            return false;
        }
    }
    return true;
}

void qemu_set_log(int mask)
{
    qatomic_set(&qemu_loglevel, mask);
}

static char *name_of(const char *name, int id)
{
    const char *at = strstr(name, "%d");

    return at ? g_strdup_printf("%.*s%d%s", (int)(at - name), name, id, at + 2) : g_strdup(name);
}

bool qemu_log_check(Error **errp)
{
    if ((qemu_loglevel & LOG_PER_THREAD) && (!log_name || !strstr(log_name, "%d"))) {
        error_setg(errp, "log item 'tid' needs a log file with '%%d' in its name (-D)");
        return false;
    }
    return true;
}

bool qemu_set_log_filename(const char *path, Error **errp)
{
    const char *percent = strchr(path, '%');
    g_autofree char *name = NULL;
    FILE *f, *old;

    if (percent && (percent[1] != 'd' || strchr(percent + 1, '%'))) {
        error_setg(errp, "Bad logfile template: %s", path);
        return false;
    }
    name = name_of(path, getpid());
    f = fopen(name, "we");
    if (!f) {
        error_setg_errno(errp, errno, "Error opening logfile %s", name);
        return false;
    }
    qemu_mutex_lock(&log_lock);
    old = log_file;
    log_file = f;
    g_free(log_name);
    log_name = g_strdup(path);
    qemu_mutex_unlock(&log_lock);
    if (old) {
        fclose(old);
    }
    return true;
}

/* This thread's file; NULL: the shared one. log_lock held. */
static FILE *file_of_thread(void)
{
    if (!(qatomic_read(&qemu_loglevel) & LOG_PER_THREAD) || !log_name ||
        qemu_get_thread_id() == getpid()) {
        return NULL;
    }
    if (!thread_file) {
        g_autofree char *name = name_of(log_name, qemu_get_thread_id());

        thread_file = fopen(name, "we");
    }
    return thread_file;
}

void qemu_log_text(const char *text)
{
    FILE *f;

    qemu_mutex_lock(&log_lock);
    f = file_of_thread() ?: log_file ?: stderr;
    fputs(text, f);
    fflush(f);
    qemu_mutex_unlock(&log_lock);
}

void qemu_log(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    qemu_log_text(text);
}
