/*
 * vCPU lifecycle with an accelerator that executes nothing: threads, pausing and resuming, work run
 * on CPUs, exclusive work, halting and interrupts, the machine's start and stop.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/qapi-commands-machine.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/runstate.h"

#define TYPE_TEST_CPU "test-cpu"
#define NR_CPUS 4

static CPUState *cpus[NR_CPUS];
static int steps[NR_CPUS];      /* stretches of "guest code" so far (atomic) */
static int executing;           /* CPUs that are in one (atomic) */
static int synchronized;

static bool test_has_work(CPUState *cpu)
{
    return cpu->interrupt_request & CPU_INTERRUPT_HARD;
}

static void test_cpu_class_init(ObjectClass *oc, void *data)
{
    CPU_CLASS(oc)->has_work = test_has_work;
}

static const TypeInfo test_cpu_type = {
    .name = TYPE_TEST_CPU,
    .parent = TYPE_CPU,
    .instance_size = sizeof(CPUState),
    .class_init = test_cpu_class_init,
};

static void execute(CPUState *cpu)
{
    bql_unlock();
    cpu_exec_start(cpu);
    qatomic_inc(&executing);
    qatomic_inc(&steps[cpu->cpu_index]);
    g_usleep(50);
    qatomic_dec(&executing);
    cpu_exec_end(cpu);
    bql_lock();
}

static void *vcpu_thread(void *arg)
{
    CPUState *cpu = arg;

    cpu_thread_enter(cpu);
    bql_lock();
    cpu_thread_signal_created(cpu);
    do {
        if (cpu_can_run(cpu)) {
            if (cpu->halted && cpu_has_work(cpu)) {
                cpu->halted = 0;
                cpu_reset_interrupt(cpu, CPU_INTERRUPT_HARD);
            }
            if (!cpu->halted) {
                execute(cpu);
            }
        }
        qemu_wait_io_event(cpu);
    } while (!cpu->unplug || cpu_can_run(cpu));
    cpu_thread_signal_destroyed(cpu);
    bql_unlock();
    return NULL;
}

static void create_vcpu_thread(CPUState *cpu)
{
    qemu_thread_create(cpu->thread, "vcpu", vcpu_thread, cpu, QEMU_THREAD_JOINABLE);
}

static void synchronize_state(CPUState *cpu)
{
    synchronized++;
}

static const AccelOpsClass test_ops = {
    .create_vcpu_thread = create_vcpu_thread,
    .synchronize_state = synchronize_state,
};

static void let_others_run(void)
{
    bql_unlock();
    g_usleep(500);
    bql_lock();
}

/* Wait until the CPU got on by some steps. */
static void wait_steps(int i)
{
    int from = qatomic_read(&steps[i]), tries;

    for (tries = 0; tries < 20000 && qatomic_read(&steps[i]) < from + 2; tries++) {
        let_others_run();
    }
    g_assert_cmpint(qatomic_read(&steps[i]), >=, from + 2);
}

static void assert_still(void)
{
    int before[NR_CPUS];

    memcpy(before, steps, sizeof(before));
    bql_unlock();
    g_usleep(5000);
    bql_lock();
    g_assert_cmpmem(before, sizeof(before), steps, sizeof(steps));
}

static void test_start_stop(void)
{
    int i, n;

    assert_still();
    for (n = 0; n < 20; n++) {
        vm_start();
        g_assert_true(runstate_is_running());
        for (i = 0; i < NR_CPUS; i++) {
            wait_steps(i);
        }
        vm_stop(RUN_STATE_PAUSED);
        g_assert_true(all_vcpus_paused());
        g_assert_true(runstate_check(RUN_STATE_PAUSED));
        g_assert_cmpint(qatomic_read(&executing), ==, 0);
    }
    assert_still();
    /* Starting what runs and stopping what is stopped changes nothing. */
    vm_start();
    g_assert_cmpint(vm_prepare_start(false), ==, -1);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpint(vm_stop(RUN_STATE_PAUSED), ==, 0);
    g_assert_cmpint(vm_stop_force_state(RUN_STATE_FINISH_MIGRATE), ==, 0);
    g_assert_true(runstate_check(RUN_STATE_FINISH_MIGRATE));
    vm_start();
    g_assert_true(runstate_is_running());
    vm_stop(RUN_STATE_PAUSED);
}

/* A guest that had suspended itself is suspended again when the machine is started. */
static void test_suspended(void)
{
    vm_start();
    pause_all_vcpus();
    runstate_set(RUN_STATE_SUSPENDED);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_true(vm_get_suspended());
    vm_start();
    g_assert_true(runstate_check(RUN_STATE_SUSPENDED));
    g_assert_false(vm_get_suspended());
    assert_still();
    runstate_set(RUN_STATE_RUNNING);
    resume_all_vcpus();
    wait_steps(0);
    vm_stop(RUN_STATE_PAUSED);
}

static void note_thread(CPUState *cpu, run_on_cpu_data data)
{
    int *ids = data.host_ptr;

    g_assert_true(bql_locked() && qemu_cpu_is_self(cpu));
    ids[cpu->cpu_index] = qemu_get_thread_id();
}

static void count(CPUState *cpu, run_on_cpu_data data)
{
    *(int *)data.host_ptr += 1;
}

static void test_run_on_cpu(void)
{
    int ids[NR_CPUS] = { 0 }, n = 0, running, i;

    /* Stopped CPUs run work as well. */
    for (running = 0; running < 2; running++) {
        if (running) {
            vm_start();
        }
        for (i = 0; i < NR_CPUS; i++) {
            run_on_cpu(cpus[i], note_thread, RUN_ON_CPU_HOST_PTR(ids));
            g_assert_cmpint(ids[i], ==, cpus[i]->thread_id);
            ids[i] = 0;
            async_run_on_cpu(cpus[i], count, RUN_ON_CPU_HOST_PTR(&n));
        }
        for (i = 0; i < NR_CPUS; i++) {
            run_on_cpu(cpus[i], note_thread, RUN_ON_CPU_HOST_PTR(ids));
        }
        g_assert_cmpint(n, ==, NR_CPUS * (running + 1));
    }
    vm_stop(RUN_STATE_PAUSED);
}

static int alone;

static void assert_alone(CPUState *cpu, run_on_cpu_data data)
{
    g_assert_false(bql_locked());
    g_assert_cmpint(qatomic_read(&executing), ==, 0);
    g_usleep(200);
    g_assert_cmpint(qatomic_read(&executing), ==, 0);
    qatomic_inc(&alone);
}

static void test_exclusive(void)
{
    int i, n;

    vm_start();
    for (n = 0; n < 25; n++) {
        for (i = 0; i < NR_CPUS; i++) {
            async_safe_run_on_cpu(cpus[i], assert_alone, RUN_ON_CPU_NULL);
        }
        /* From outside, holding the BQL, as a change of the memory layout does. */
        start_exclusive();
        g_assert_cmpint(qatomic_read(&executing), ==, 0);
        end_exclusive();
        let_others_run();
    }
    for (n = 0; n < 20000 && qatomic_read(&alone) < 25 * NR_CPUS; n++) {
        let_others_run();
    }
    g_assert_cmpint(alone, ==, 25 * NR_CPUS);
    for (i = 0; i < NR_CPUS; i++) {
        wait_steps(i);
    }
    vm_stop(RUN_STATE_PAUSED);
}

static void test_halt(void)
{
    cpus[1]->halted = 1;
    vm_start();
    wait_steps(0);
    g_assert_true(cpu_thread_is_idle(cpus[1]));
    g_assert_false(all_cpu_threads_idle());
    cpu_interrupt(cpus[1], CPU_INTERRUPT_HARD);
    wait_steps(1);
    g_assert_cmpint(cpus[1]->halted, ==, 0);
    g_assert_cmphex(cpus[1]->interrupt_request, ==, 0);
    vm_stop(RUN_STATE_PAUSED);
}

static int hooked;

static void hook(CPUState *cpu)
{
    g_assert_true(bql_locked());
    hooked++;
}

static void test_hook(void)
{
    cpus_set_exit_hook(hook);
    vm_start();
    wait_steps(0);
    vm_stop(RUN_STATE_PAUSED);
    cpus_set_exit_hook(NULL);
    g_assert_cmpint(hooked, >, 0);
}

/* A CPU's own thread can't wait for all CPUs to stop: the main loop does. */
static void stop_from_within(CPUState *cpu, run_on_cpu_data data)
{
    vm_stop(RUN_STATE_DEBUG);
}

static void test_stop_from_cpu(void)
{
    RunState state = RUN_STATE__MAX;

    vm_start();
    run_on_cpu(cpus[2], stop_from_within, RUN_ON_CPU_NULL);
    g_assert_true(runstate_is_running());
    g_assert_true(qemu_vmstop_requested(&state));
    g_assert_cmpint(state, ==, RUN_STATE_DEBUG);
    vm_stop(state);
    g_assert_true(runstate_check(RUN_STATE_DEBUG));
}

static void test_query(void)
{
    CpuInfoFastList *list = qmp_query_cpus_fast(&error_abort), *l;
    int n = 0;

    for (l = list; l; l = l->next, n++) {
        g_assert_cmpint(l->value->cpu_index, ==, n);
        g_assert_cmpint(l->value->thread_id, ==, cpus[n]->thread_id);
        g_assert_cmpint(l->value->target, ==, SYS_EMU_TARGET_X86_64);
    }
    g_assert_cmpint(n, ==, NR_CPUS);
    qapi_free_CpuInfoFastList(list);
    synchronized = 0;
    cpu_synchronize_all_states();
    cpu_synchronize_all_post_reset();
    g_assert_cmpint(synchronized, ==, NR_CPUS);
    g_assert_true(qemu_get_cpu(2) == cpus[2]);
    g_assert_null(qemu_get_cpu(NR_CPUS));
    g_assert_true(cpu_exists(3));
}

static void test_remove(void)
{
    CPUState *last = cpus[NR_CPUS - 1], *cpu;
    int n = 0;

    cpu_remove_sync(last);
    cpu_list_remove(last);
    CPU_FOREACH(cpu) {
        n++;
    }
    g_assert_cmpint(n, ==, NR_CPUS - 1);
    g_assert_false(last->created);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&test_cpu_type);
    qemu_init_main_loop(&error_abort);
    memory_map_init();
    qemu_init_cpu_loop();
    cpus_register_accel(&test_ops);
    for (i = 0; i < NR_CPUS; i++) {
        g_autofree char *name = g_strdup_printf("cpu%d", i);

        cpus[i] = CPU(object_new(TYPE_TEST_CPU));
        object_property_add_child(object_get_root(), name, OBJECT(cpus[i]));
        cpu_list_add(cpus[i]);
        g_assert_cmpint(cpus[i]->cpu_index, ==, i);
        qemu_init_vcpu(cpus[i]);
    }

    g_test_add_func("/cpus/start-stop", test_start_stop);
    g_test_add_func("/cpus/suspended", test_suspended);
    g_test_add_func("/cpus/run-on-cpu", test_run_on_cpu);
    g_test_add_func("/cpus/exclusive", test_exclusive);
    g_test_add_func("/cpus/halt", test_halt);
    g_test_add_func("/cpus/hook", test_hook);
    g_test_add_func("/cpus/stop-from-cpu", test_stop_from_cpu);
    g_test_add_func("/cpus/query", test_query);
    g_test_add_func("/cpus/remove", test_remove);
    return g_test_run();
}
