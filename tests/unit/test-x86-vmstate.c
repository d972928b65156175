/*
 * Section "cpu": every subsection is there when it holds something and only then, and comes back
 * with what it held; values that make no sense are refused.
 *
 * The CPU is a plain object with the state that machine.c describes: no accelerator, no features.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "io/channel-buffer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "target/i386/cpu.h"

/* The rest of the CPU is not what is tested. */
void x86_cpu_update_hflags(CPUX86State *env)
{
}

static const TypeInfo test_cpu_type = {
    .name = TYPE_X86_CPU,
    .parent = TYPE_CPU,
    .instance_size = sizeof(X86CPU),
    .class_size = sizeof(X86CPUClass),
};

static QIOChannelBuffer *stream;
static X86CPU *from, *to;

/* What a reset leaves, as far as it is not zero. */
static void reset(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    g_clear_pointer(&env->nested_state, g_free);
    memset(env, 0, sizeof(*env));
    env->poll_control_msr = 1;
    env->msr_ia32_misc_enable = MSR_IA32_MISC_ENABLE_DEFAULT;
    env->exception_nr = env->interrupt_injected = -1;
}

static void save(void)
{
    QEMUFile *f;

    if (stream) {
        object_unref(OBJECT(stream));
    }
    stream = qio_channel_buffer_new(1024);
    object_ref(OBJECT(stream));
    f = qemu_file_new_output(QIO_CHANNEL(stream));
    g_assert_cmpint(vmstate_save_state(f, &vmstate_x86_cpu, from, NULL), ==, 0);
    qemu_put_byte(f, 0x7e); /* as in a stream, something follows */
    g_assert_cmpint(qemu_fclose(f), ==, 0);
}

static int load(void)
{
    QIOChannelBuffer *bioc = qio_channel_buffer_new(stream->usage);
    QEMUFile *f;
    int ret;

    qio_channel_write_all(QIO_CHANNEL(bioc), (const char *)stream->data, stream->usage,
                          &error_abort);
    bioc->offset = 0;
    f = qemu_file_new_input(QIO_CHANNEL(bioc));
    ret = vmstate_load_state(f, &vmstate_x86_cpu, to, 12);
    qemu_fclose(f);
    return ret;
}

static bool sent(const char *subsection)
{
    g_autofree char *name = g_strdup_printf("%ccpu/%s", (int)strlen(subsection) + 4, subsection);

    return memmem(stream->data, stream->usage, name, strlen(name));
}

#define FIELD(name, field) { name, offsetof(CPUX86State, field), sizeof(((CPUX86State *)0)->field) }

static const struct {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD("async_pf_msr", async_pf_en_msr), FIELD("async_pf_int_msr", async_pf_int_msr),
    FIELD("async_pv_eoi_msr", pv_eoi_en_msr), FIELD("steal_time_msr", steal_time_msr),
    FIELD("fpop_ip_dp", fpop), FIELD("fpop_ip_dp", fpip), FIELD("fpop_ip_dp", fpdp),
    FIELD("msr_tsc_adjust", tsc_adjust), FIELD("msr_tscdeadline", tsc_deadline),
    FIELD("msr_ia32_misc_enable", msr_ia32_misc_enable),
    FIELD("msr_ia32_feature_control", msr_ia32_feature_control),
    FIELD("msr_architectural_pmu", msr_fixed_ctr_ctrl),
    FIELD("msr_architectural_pmu", msr_global_ctrl),
    FIELD("msr_architectural_pmu", msr_fixed_counters),
    FIELD("msr_architectural_pmu", msr_gp_counters),
    FIELD("msr_architectural_pmu", msr_gp_evtsel),
    FIELD("mpx", bnd_regs), FIELD("mpx", bndcs_regs), FIELD("mpx", msr_bndcfgs),
    FIELD("avx512", opmask_regs), FIELD("avx512", xmm_regs[16]), FIELD("avx512", xmm_regs[31]),
    FIELD("avx512", xmm_regs[3]._q_ZMMReg[5]),
    FIELD("xss", xss), FIELD("umwait", umwait), FIELD("pkru", pkru), FIELD("pkrs", pkrs),
    FIELD("msr_smi_count", msr_smi_count), FIELD("spec_ctrl", spec_ctrl),
    FIELD("amd_tsc_scale_msr", amd_tsc_scale_msr), FIELD("intel_pt", msr_rtit_ctrl),
    FIELD("intel_pt", msr_rtit_addrs), FIELD("virt_ssbd", virt_ssbd),
    FIELD("svm_guest", int_ctl), FIELD("msr_tsx_ctrl", tsx_ctrl),
    FIELD("intel_sgx", msr_ia32_sgxlepubkeyhash), FIELD("msr_xfd", msr_xfd),
    FIELD("msr_xfd", msr_xfd_err), FIELD("intel_amx_xtile", xtilecfg),
    FIELD("intel_amx_xtile", xtiledata), FIELD("msr_hwcr", msr_hwcr), FIELD("fred", fred_rsp0),
    FIELD("fred", fred_config), FIELD("msr_hyperv_hypercall", msr_hv_guest_os_id),
    FIELD("msr_hyperv_vapic", msr_hv_vapic), FIELD("msr_hyperv_time", msr_hv_tsc),
    FIELD("msr_hyperv_crash", msr_hv_crash_params), FIELD("msr_hyperv_runtime", msr_hv_runtime),
    FIELD("msr_hyperv_synic", msr_hv_synic_sint),
    FIELD("msr_hyperv_stimer", msr_hv_stimer_count),
    FIELD("msr_hyperv_reenlightenment", msr_hv_tsc_emulation_status),
};

static void test_round_trip(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint8_t *value = (uint8_t *)&from->env + fields[i].offset;

        reset(from);
        reset(to);
        save();
        g_assert_false(sent(fields[i].name));
        for (size_t b = 0; b < fields[i].size; b++) {
            value[b] = 1 + (b + i) % 250;
        }
        save();
        if (!sent(fields[i].name)) {
            g_test_message("%s", fields[i].name);
        }
        g_assert_true(sent(fields[i].name));
        g_assert_cmpint(load(), ==, 0);
        g_assert_cmpmem((uint8_t *)&to->env + fields[i].offset, fields[i].size, value,
                        fields[i].size);
    }
}

/* What has conditions of its own. */
static void test_conditions(void)
{
    reset(from);
    reset(to);
    from->env.poll_control_msr = 0;
    from->env.mcg_ext_ctl = 1;
    from->env.pdptrs_valid = true;
    from->env.pdptrs[3] = 0x1001;
    from->env.tsc_khz = 1234567;
    from->env.msr_lbr_ctl = 1;
    from->env.lbr_records[31].info = 77;
    from->env.triple_fault_pending = 1;
    from->env.hflags2 = HF2_NPT_MASK;
    from->env.nested_cr3 = 0x5000;
    save();
    g_assert_true(sent("poll_control_msr"));
    g_assert_false(sent("mcg_ext_ctl"));
    g_assert_true(sent("pdptrs"));
    g_assert_true(sent("tsc_khz"));
    g_assert_true(sent("svn_npt"));
    g_assert_cmpint(load(), ==, 0);
    g_assert_cmpuint(to->env.poll_control_msr, ==, 0);
    g_assert_true(to->env.pdptrs_valid);
    g_assert_cmpuint(to->env.pdptrs[3], ==, 0x1001);
    g_assert_cmpint(to->env.tsc_khz, ==, 1234567);
    g_assert_cmpuint(to->env.lbr_records[31].info, ==, 77);
    g_assert_cmpuint(to->env.triple_fault_pending, ==, 1);
    g_assert_cmpuint(to->env.nested_cr3, ==, 0x5000);

    from->env.mcg_cap = MCG_LMCE_P;
    save();
    g_assert_true(sent("mcg_ext_ctl"));
}

static void test_exceptions(void)
{
    reset(from);
    reset(to);
    from->env.exception_nr = 14;
    from->env.exception_injected = 1;
    save();
    g_assert_false(sent("exception_info"));     /* all that older readers know */
    g_assert_cmpint(load(), ==, 0);
    g_assert_cmpint(to->env.exception_nr, ==, 14);
    g_assert_cmpuint(to->env.exception_injected, ==, 1);

    from->env.exception_injected = 0;
    from->env.exception_pending = from->env.exception_has_payload = 1;
    from->env.exception_payload = 0xdeadbeef000;
    save();
    g_assert_true(sent("exception_info"));
    g_assert_cmpint(load(), ==, 0);
    g_assert_cmpuint(to->env.exception_pending, ==, 1);
    g_assert_cmpuint(to->env.exception_injected, ==, 0);
    g_assert_cmphex(to->env.exception_payload, ==, 0xdeadbeef000);
}

static void give_nested(X86CPU *cpu, bool svm)
{
    cpu->env.nested_state = g_new0(X86NestedState, 1);
    cpu->env.features[FEAT_8000_0001_ECX] = svm ? 1u << 2 : 0;
    cpu->env.features[FEAT_1_ECX] = svm ? 0 : 1u << 5;
}

static void test_nested(void)
{
    X86NestedState *n;

    for (int svm = 0; svm < 2; svm++) {
        reset(from);
        reset(to);
        give_nested(from, svm);
        give_nested(to, svm);
        n = from->env.nested_state;
        n->format = svm;
        n->size = X86_NESTED_HDR_SIZE + 4096;
        n->flags = X86_NESTED_GUEST_MODE;
        n->hdr[0] = 0x40;
        n->data[4095] = 9;
        from->env.hflags = HF_GUEST_MASK;
        save();
        g_assert_true(sent(svm ? "kvm_nested_state/svm" : "kvm_nested_state/vmx"));
        g_assert_cmpint(load(), ==, 0);
        g_assert_cmpmem(to->env.nested_state, sizeof(*n), n, sizeof(*n));

        /* Neither a CPU without virtualisation takes it, nor one of the other kind. */
        reset(to);
        g_assert_cmpint(load(), <, 0);
        g_assert_null(to->env.nested_state);
        give_nested(to, !svm);
        g_assert_cmpint(load(), <, 0);
        reset(to);
        give_nested(to, svm);
        n->size = UINT32_MAX;
        save();
        g_assert_cmpint(load(), <, 0);
        n->size = X86_NESTED_HDR_SIZE;
        n->flags = 0x8000;
        save();
        g_assert_cmpint(load(), <, 0);
    }
    reset(from);
    reset(to);
}

/* One after the other: all is well but for one value. */
static void test_refused(void)
{
#define REFUSED(field, value) do {                                                                 \
        reset(from);                                                                               \
        reset(to);                                                                                 \
        from->env.field = (value);                                                                 \
        save();                                                                                    \
        g_assert_cmpint(load(), ==, -EINVAL);                                                      \
    } while (0)
    REFUSED(interrupt_injected, 256);
    REFUSED(interrupt_injected, -2);
    REFUSED(exception_nr, 32);
    REFUSED(exception_nr, INT32_MIN);
    REFUSED(sipi_vector, 256);
    REFUSED(mp_state, 11);
    REFUSED(tsc_khz, -1);
    REFUSED(hflags, HF_GUEST_MASK);
    REFUSED(triple_fault_pending, 2);

    reset(from);
    reset(to);
    from->env.msr_lbr_ctl = 1;
    from->env.msr_lbr_depth = ARCH_LBR_NR_ENTRIES + 1;
    save();
    g_assert_cmpint(load(), ==, -EINVAL);

    reset(from);
    reset(to);
    from->env.tsc_khz = 1000000;
    to->env.user_tsc_khz = 2000000;
    save();
    g_assert_cmpint(load(), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&test_cpu_type);
    from = X86_CPU(object_new(TYPE_X86_CPU));
    to = X86_CPU(object_new(TYPE_X86_CPU));
    g_test_add_func("/x86-vmstate/round-trip", test_round_trip);
    g_test_add_func("/x86-vmstate/conditions", test_conditions);
    g_test_add_func("/x86-vmstate/exceptions", test_exceptions);
    g_test_add_func("/x86-vmstate/nested", test_nested);
    g_test_add_func("/x86-vmstate/refused", test_refused);
    return g_test_run();
}
