/*
 * The list of CPUs, work that is run on them, and moments when none executes guest code.
 *
 * Relies on the accelerator only to be kicked. Locking: the list belongs to the BQL; each CPU's
 * queue to its work_mutex; exclusivity to exclusive_lock, where CPUState.running and
 * exclusive_pending are also read without it, on the fast path of cpu_exec_start/end: each side
 * writes its own flag, fences, then reads the other's, so that one of the two always sees the
 * other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "system/cpus.h"

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;

static QemuMutex exclusive_lock;
static QemuCond exclusive_changed;  /* a CPU left guest code, or exclusivity ended */
static QemuCond work_done;          /* with the BQL */
static bool exclusive_pending;      /* somebody wants, or has, exclusivity (atomic) */

static void __attribute__((constructor)) cpu_common_init(void)
{
    qemu_mutex_init(&exclusive_lock);
    qemu_cond_init(&exclusive_changed);
    qemu_cond_init(&work_done);
}

/* -- List ------------------------------------------------------------------------------------ */

CPUState *qemu_get_cpu(int index)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu->cpu_index == index) {
            return cpu;
        }
    }
    return NULL;
}

CPUState *cpu_by_arch_id(int64_t id)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        int64_t its = cpu->cc->get_arch_id ? cpu->cc->get_arch_id(cpu) : cpu->cpu_index;

        if (its == id) {
            return cpu;
        }
    }
    return NULL;
}

bool cpu_exists(int64_t id)
{
    return cpu_by_arch_id(id);
}

void cpu_list_add(CPUState *cpu)
{
    CPUState *other;

    if (cpu->cpu_index < 0) {
        cpu->cpu_index = 0;
        CPU_FOREACH(other) {
            cpu->cpu_index = MAX(cpu->cpu_index, other->cpu_index + 1);
        }
    }
    CPU_FOREACH(other) {
        if (other->cpu_index > cpu->cpu_index) {
            QTAILQ_INSERT_BEFORE(other, cpu, node);
            return;
        }
    }
    QTAILQ_INSERT_TAIL(&cpus_queue, cpu, node);
}

void cpu_list_remove(CPUState *cpu)
{
    if (QTAILQ_IN_USE(cpu, node)) {
        QTAILQ_REMOVE(&cpus_queue, cpu, node);
        cpu->cpu_index = -1;
    }
}

/* -- Work ------------------------------------------------------------------------------------ */

struct qemu_work_item {
    QSIMPLEQ_ENTRY(qemu_work_item) node;
    run_on_cpu_func func;
    run_on_cpu_data data;
    bool on_heap;           /* freed after it ran; else the caller waits for done */
    bool exclusive;
    bool done;              /* BQL */
};

static void queue_work(CPUState *cpu, struct qemu_work_item *wi)
{
    qemu_mutex_lock(&cpu->work_mutex);
    QSIMPLEQ_INSERT_TAIL(&cpu->work_list, wi, node);
    qemu_mutex_unlock(&cpu->work_mutex);
    qemu_cpu_kick(cpu);
}

void run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    struct qemu_work_item wi = { .func = func, .data = data };

    if (qemu_cpu_is_self(cpu)) {
        func(cpu, data);
        return;
    }
    queue_work(cpu, &wi);
    while (!wi.done) {
        qemu_cond_wait_bql(&work_done);
    }
}

static void queue_heap_work(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data,
                            bool exclusive)
{
    struct qemu_work_item *wi = g_new0(struct qemu_work_item, 1);

    wi->func = func;
    wi->data = data;
    wi->on_heap = true;
    wi->exclusive = exclusive;
    queue_work(cpu, wi);
}

void async_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    queue_heap_work(cpu, func, data, false);
}

void async_safe_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    queue_heap_work(cpu, func, data, true);
}

bool cpu_work_list_empty(CPUState *cpu)
{
    bool empty;

    qemu_mutex_lock(&cpu->work_mutex);
    empty = QSIMPLEQ_EMPTY(&cpu->work_list);
    qemu_mutex_unlock(&cpu->work_mutex);
    return empty;
}

void process_queued_cpu_work(CPUState *cpu)
{
    for (;;) {
        struct qemu_work_item *wi;

        qemu_mutex_lock(&cpu->work_mutex);
        wi = QSIMPLEQ_FIRST(&cpu->work_list);
        if (wi) {
            QSIMPLEQ_REMOVE_HEAD(&cpu->work_list, node);
        }
        qemu_mutex_unlock(&cpu->work_mutex);
        if (!wi) {
            break;
        }
        if (wi->exclusive) {
            /* Others may need the BQL to get out of guest code. */
            bql_unlock();
            start_exclusive();
            wi->func(cpu, wi->data);
            end_exclusive();
            bql_lock();
        } else {
            wi->func(cpu, wi->data);
        }
        if (wi->on_heap) {
            g_free(wi);
        } else {
            wi->done = true;
        }
    }
    qemu_cond_broadcast(&work_done);
}

/* -- Exclusivity ----------------------------------------------------------------------------- */

static bool others_running(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu != current_cpu && qatomic_read(&cpu->running)) {
            return true;
        }
    }
    return false;
}

void start_exclusive(void)
{
    CPUState *cpu;

    qemu_mutex_lock(&exclusive_lock);
    while (exclusive_pending) {
        qemu_cond_wait(&exclusive_changed, &exclusive_lock);
    }
    qatomic_set(&exclusive_pending, true);
    smp_mb();
    CPU_FOREACH(cpu) {
        if (cpu != current_cpu && qatomic_read(&cpu->running)) {
            qemu_cpu_kick(cpu);
        }
    }
    while (others_running()) {
        qemu_cond_wait(&exclusive_changed, &exclusive_lock);
    }
    qemu_mutex_unlock(&exclusive_lock);
}

void end_exclusive(void)
{
    qemu_mutex_lock(&exclusive_lock);
    qatomic_set(&exclusive_pending, false);
    qemu_cond_broadcast(&exclusive_changed);
    qemu_mutex_unlock(&exclusive_lock);
}

void cpu_exec_start(CPUState *cpu)
{
    qatomic_set(&cpu->running, true);
    smp_mb();
    if (unlikely(qatomic_read(&exclusive_pending))) {
        qemu_mutex_lock(&exclusive_lock);
        while (exclusive_pending) {
            qatomic_set(&cpu->running, false);
            qemu_cond_broadcast(&exclusive_changed);
            qemu_cond_wait(&exclusive_changed, &exclusive_lock);
        }
        qatomic_set(&cpu->running, true);
        qemu_mutex_unlock(&exclusive_lock);
    }
}

void cpu_exec_end(CPUState *cpu)
{
    qatomic_set(&cpu->running, false);
    smp_mb();
    if (unlikely(qatomic_read(&exclusive_pending))) {
        qemu_mutex_lock(&exclusive_lock);
        qemu_cond_broadcast(&exclusive_changed);
        qemu_mutex_unlock(&exclusive_lock);
    }
}
