/*
 * Kernel, command line and initial RAM disk: read, recognized, and put into guest memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/nvram/fw_cfg.h"

bool x86_place_initrd(X86Setup *x, void *initrd, uint64_t len, uint64_t limit, hwaddr *addr,
                      Error **errp)
{
    uint64_t top = MIN(limit, x->below_4g) & ~UINT64_C(0xfff);
    uint64_t room = MAX(rom_highest_end(x->below_4g), 0x100000);

    if (top < room || ROUND_UP(len, 4096) > top - room) {
        error_setg(errp, "the initrd's %" PRIu64 " bytes do not fit into RAM above the kernel",
                   len);
        g_free(initrd);
        return false;
    }
    *addr = top - ROUND_UP(len, 4096);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_INITRD_ADDR, *addr);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_INITRD_SIZE, len);
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_INITRD_DATA, initrd, len);
    return rom_add_blob("initrd", initrd, len, 0, *addr, errp);
}

bool x86_load_kernel(X86Setup *x, Error **errp)
{
    ERRP_GUARD();
    MachineState *ms = x->ms;
    const char *cmdline = ms->kernel_cmdline ?: "";
    bool has_initrd = ms->initrd_filename && *ms->initrd_filename;
    g_autofree uint8_t *kernel = NULL;
    uint8_t *initrd = NULL;
    uint64_t len, initrd_len = 0;
    bool ok;

    if (!ms->kernel_filename || !*ms->kernel_filename) {
        if (has_initrd || *cmdline) {
            error_setg(errp, "%s is of use only with -kernel", has_initrd ? "-initrd" : "-append");
            return false;
        }
        return true;
    }
    kernel = load_file(ms->kernel_filename, x->below_4g, &len, errp);
    if (!kernel) {
        error_prepend(errp, "-kernel: ");
        return false;
    }
    if (has_initrd) {
        initrd = load_file(ms->initrd_filename, x->below_4g, &initrd_len, errp);
        if (!initrd) {
            error_prepend(errp, "-initrd: ");
            return false;
        }
    }
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_CMDLINE_ADDR, 0x20000);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1);
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1);
    ok = x86_is_bzimage(kernel, len) ? x86_load_bzimage(x, kernel, len, initrd, initrd_len, errp)
                                     : x86_load_pvh(x, kernel, len, initrd, initrd_len, errp);
    if (!ok) {
        error_prepend(errp, "-kernel %s: ", ms->kernel_filename);
    }
    return ok;
}
