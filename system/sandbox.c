/*
 * -sandbox: what system calls this program may still make.
 *
 * Installed before any other thread exists, so that all of them have it. What a program that works
 * well never does is fatal; what it might try for good reasons (starting another program) fails
 * with "Operation not permitted", so that whoever asked for it hears why.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "config-host.h"
#include "qapi/error.h"
#include "sandbox.h"

#ifdef CONFIG_SECCOMP
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>

typedef struct SystemCall {
    int number;
    SandboxItem item; /* whose denial it belongs to */
} SystemCall;

/* Calls with which a program changes the host, or other programs. None is ever needed here. */
static const int always_denied[] = {
    SCMP_SYS(acct), SCMP_SYS(add_key), SCMP_SYS(adjtimex), SCMP_SYS(bpf), SCMP_SYS(clock_adjtime),
    SCMP_SYS(clock_settime), SCMP_SYS(delete_module), SCMP_SYS(finit_module),
    SCMP_SYS(init_module), SCMP_SYS(ioperm), SCMP_SYS(iopl), SCMP_SYS(kexec_file_load),
    SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(lookup_dcookie), SCMP_SYS(mount),
    SCMP_SYS(nfsservctl), SCMP_SYS(perf_event_open), SCMP_SYS(pivot_root),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace),
    SCMP_SYS(quotactl), SCMP_SYS(reboot), SCMP_SYS(request_key), SCMP_SYS(setdomainname),
    SCMP_SYS(sethostname), SCMP_SYS(setns), SCMP_SYS(settimeofday), SCMP_SYS(swapoff),
    SCMP_SYS(swapon), SCMP_SYS(syslog), SCMP_SYS(umount2), SCMP_SYS(unshare),
    SCMP_SYS(vhangup),
};

static const SystemCall by_item[] = {
    { SCMP_SYS(_sysctl), SANDBOX_OBSOLETE }, { SCMP_SYS(bdflush), SANDBOX_OBSOLETE },
    { SCMP_SYS(create_module), SANDBOX_OBSOLETE },
    { SCMP_SYS(get_kernel_syms), SANDBOX_OBSOLETE },
    { SCMP_SYS(query_module), SANDBOX_OBSOLETE }, { SCMP_SYS(readdir), SANDBOX_OBSOLETE },
    { SCMP_SYS(sgetmask), SANDBOX_OBSOLETE }, { SCMP_SYS(ssetmask), SANDBOX_OBSOLETE },
    { SCMP_SYS(sysfs), SANDBOX_OBSOLETE }, { SCMP_SYS(uselib), SANDBOX_OBSOLETE },
    { SCMP_SYS(ustat), SANDBOX_OBSOLETE },

    { SCMP_SYS(setuid), SANDBOX_ELEVATE }, { SCMP_SYS(setgid), SANDBOX_ELEVATE },
    { SCMP_SYS(setreuid), SANDBOX_ELEVATE }, { SCMP_SYS(setregid), SANDBOX_ELEVATE },
    { SCMP_SYS(setresuid), SANDBOX_ELEVATE }, { SCMP_SYS(setresgid), SANDBOX_ELEVATE },
    { SCMP_SYS(setfsuid), SANDBOX_ELEVATE }, { SCMP_SYS(setfsgid), SANDBOX_ELEVATE },
    { SCMP_SYS(setgroups), SANDBOX_ELEVATE }, { SCMP_SYS(capset), SANDBOX_ELEVATE },
    { SCMP_SYS(setpgid), SANDBOX_ELEVATE }, { SCMP_SYS(setsid), SANDBOX_ELEVATE },

    { SCMP_SYS(fork), SANDBOX_SPAWN }, { SCMP_SYS(vfork), SANDBOX_SPAWN },
    { SCMP_SYS(execve), SANDBOX_SPAWN }, { SCMP_SYS(execveat), SANDBOX_SPAWN },

    { SCMP_SYS(sched_setaffinity), SANDBOX_RESOURCES },
    { SCMP_SYS(sched_setattr), SANDBOX_RESOURCES },
    { SCMP_SYS(sched_setparam), SANDBOX_RESOURCES },
    { SCMP_SYS(sched_setscheduler), SANDBOX_RESOURCES },
    { SCMP_SYS(setpriority), SANDBOX_RESOURCES }, { SCMP_SYS(ioprio_set), SANDBOX_RESOURCES },
};

/* A thread is a clone too, and stays allowed. The arguments of clone3 are in memory, where a filter
   cannot look: the C library falls back to clone when there is no clone3. */
static int deny_processes(scmp_filter_ctx ctx)
{
    int ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));

    return ret ?: seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int add_rules(scmp_filter_ctx ctx, unsigned denied)
{
    int ret = 0;

    for (size_t i = 0; !ret && i < ARRAY_SIZE(always_denied); i++) {
        ret = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, always_denied[i], 0);
    }
    for (size_t i = 0; !ret && i < ARRAY_SIZE(by_item); i++) {
        if (denied & (1u << by_item[i].item)) {
            ret = seccomp_rule_add(ctx, by_item[i].item == SANDBOX_OBSOLETE
                                   ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM),
                                   by_item[i].number, 0);
        }
    }
    return !ret && (denied & (1u << SANDBOX_SPAWN)) ? deny_processes(ctx) : ret;
}

bool sandbox_enter(unsigned denied, bool no_new_privs, Error **errp)
{
    scmp_filter_ctx ctx;
    int ret;

    if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        error_setg_errno(errp, errno, "failed to give up new privileges");
        return false;
    }
    ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx) {
        error_setg(errp, "failed to make a seccomp filter");
        return false;
    }
    /* Without CAP_SYS_ADMIN the kernel wants it in any case. */
    ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, no_new_privs || geteuid() != 0);
    ret = ret ?: seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    ret = ret ?: add_rules(ctx, denied);
    ret = ret ?: seccomp_load(ctx);
    seccomp_release(ctx);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "failed to install seccomp syscall filter in the kernel");
        return false;
    }
    return true;
}

#else

bool sandbox_enter(unsigned denied, bool no_new_privs, Error **errp)
{
    error_setg(errp, "sandboxing is not built in: libseccomp was not there");
    return false;
}

#endif
