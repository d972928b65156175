/*
 * Trace events: lines for a developer, off until a pattern enables them (-trace, -d trace:,
 * trace-event-set-state).  trace_event("migration_setup", "ram %" PRIu64, n) costs one relaxed load
 * when it is off.  An event exists from the first time its line is reached, or once a file
 * registers it with TRACE_EVENT_DECLARE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_TRACE_H
#define QEMU_TRACE_H

#include "qemu/atomic.h"
#include "qemu/compiler.h"

typedef struct TraceEvent {
    const char *name;
    bool enabled; /* atomic */
    struct TraceEvent *next;
} TraceEvent;

/* Events stand in a linker-independent list that constructors fill. */
void trace_event_register(TraceEvent *ev);
void trace_event_log(const TraceEvent *ev, const char *fmt, ...) GCC_FMT_ATTR(2, 3);

#define TRACE_EVENT(ident)                                                       \
    static TraceEvent trace_ev_##ident = {.name = #ident};                       \
    static void __attribute__((constructor)) trace_register_##ident(void)        \
    {                                                                            \
        trace_event_register(&trace_ev_##ident);                                 \
    }                                                                            \
    _Static_assert(1, "")
/* TRACE_EVENT(name); once in the file, then: */
#define trace(ident, fmt, ...) do {                                              \
        if (unlikely(qatomic_read(&trace_ev_##ident.enabled))) {                 \
            trace_event_log(&trace_ev_##ident, fmt, ##__VA_ARGS__);              \
        }                                                                        \
    } while (0)

/* Glob patterns; "-pattern" disables.  Returns how many events matched. */
int trace_enable_events(const char *pattern, bool enable);
TraceEvent *trace_event_first(void);

#endif
