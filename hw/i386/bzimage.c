/*
 * Kernels as bzImage, entered at their 32-bit entry with ESI pointing to the boot parameters ("zero
 * page"), as Linux's x86 boot protocol says. From protocol 2.06 on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/nvram/fw_cfg.h"

/* Offsets in file and zero page alike. */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_END = 0x201,            /* how far behind 0x202 the header reaches */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END = 0x224,
    HDR_CMDLINE = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_LEAST_LEN = 0x264,
    /* Only in the zero page. */
    ZP_MAP_ENTRIES = 0x1e8,
    ZP_MAP = 0x2d0,
    ZP_MAP_ENTRY_LEN = 20,
    ZP_LEN = 4096,
};

#define LOADED_HIGH   0x01
#define CAN_USE_HEAP  0x80
#define LOADER_OTHER  0xff
#define ZERO_PAGE     0x10000u
#define CMDLINE_ADDR  0x20000u
#define CMDLINE_MAX   0x8000u
#define KERNEL_ADDR   0x100000u

bool x86_is_bzimage(const uint8_t *kernel, uint64_t len)
{
    return len >= HDR_LEAST_LEN && lduw_le_p(kernel + HDR_BOOT_FLAG) == 0xaa55
        && !memcmp(kernel + HDR_MAGIC, "HdrS", 4);
}

static uint8_t *make_zero_page(const X86Setup *x, const uint8_t *header)
{
    uint8_t *zp = g_malloc0(ZP_LEN), *entry = zp + ZP_MAP;
    unsigned end = MIN(HDR_MAGIC + header[HDR_END], ZP_MAP - 0x40);

    memcpy(zp + HDR_SETUP_SECTS, header + HDR_SETUP_SECTS, end - HDR_SETUP_SECTS);
    zp[ZP_MAP_ENTRIES] = x->map_len;
    for (unsigned i = 0; i < x->map_len; i++, entry += ZP_MAP_ENTRY_LEN) {
        stq_le_p(entry, x->map[i].addr);
        stq_le_p(entry + 8, x->map[i].size);
        stl_le_p(entry + 16, x->map[i].type);
    }
    return zp;
}

static void tell_firmware(X86Setup *x, const uint8_t *setup, uint64_t setup_len,
                          const uint8_t *code, uint64_t code_len)
{
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_SETUP_ADDR, ZERO_PAGE);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_SETUP_SIZE, setup_len);
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_SETUP_DATA, setup, setup_len);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_KERNEL_ADDR, KERNEL_ADDR);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_KERNEL_SIZE, code_len);
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_KERNEL_DATA, code, code_len);
}

bool x86_load_bzimage(X86Setup *x, const uint8_t *kernel, uint64_t len, void *initrd,
                      uint64_t initrd_len, Error **errp)
{
    g_autofree void *own_initrd = initrd;
    const char *cmdline = x->ms->kernel_cmdline ?: "";
    uint64_t cmdline_len = strlen(cmdline) + 1;
    uint64_t setup_len = ((kernel[HDR_SETUP_SECTS] ?: 4) + 1) * 512u, code_len, end;
    g_autofree uint8_t *header = NULL;
    hwaddr initrd_addr = 0;
    uint8_t *zp;

    if (lduw_le_p(kernel + HDR_VERSION) < 0x206) {
        error_setg(errp, "the kernel's boot protocol 0x%04x is older than 0x0206",
                   lduw_le_p(kernel + HDR_VERSION));
        return false;
    }
    if (!(kernel[HDR_LOADFLAGS] & LOADED_HIGH) || setup_len >= len) {
        error_setg(errp, "the kernel is no complete bzImage");
        return false;
    }
    if (cmdline_len > MIN((uint64_t)ldl_le_p(kernel + HDR_CMDLINE_SIZE) + 1, CMDLINE_MAX)) {
        error_setg(errp, "the command line's %" PRIu64 " bytes are more than the kernel takes",
                   cmdline_len - 1);
        return false;
    }
    code_len = len - setup_len;
    /* The kernel unpacks itself where it prefers to lie, if it says so, and needs room there. */
    end = KERNEL_ADDR + code_len;
    if (lduw_le_p(kernel + HDR_VERSION) >= 0x20a) {
        uint64_t home = MAX(ldq_le_p(kernel + HDR_PREF_ADDRESS), KERNEL_ADDR);

        if (home > UINT32_MAX) {
            error_setg(errp, "the kernel wants to lie at 0x%" PRIx64 ", above 4 GiB", home);
            return false;
        }
        end = MAX(end, home + ldl_le_p(kernel + HDR_INIT_SIZE));
    }
    if (end > x->below_4g) {
        error_setg(errp, "the kernel needs %" PRIu64 " MiB of RAM, there are %" PRIu64 " MiB",
                   DIV_ROUND_UP(end, 1u << 20), x->below_4g >> 20);
        return false;
    }
    if (!rom_add_blob("kernel", g_memdup2(kernel + setup_len, code_len), code_len, 0, KERNEL_ADDR,
                      errp)
        || !rom_add_blob("command line", g_strdup(cmdline), cmdline_len, 0, CMDLINE_ADDR, errp)) {
        return false;
    }
    if (own_initrd && !x86_place_initrd(x, g_steal_pointer(&own_initrd), initrd_len,
                                        (uint64_t)ldl_le_p(kernel + HDR_INITRD_MAX) + 1,
                                        &initrd_addr, errp)) {
        return false;
    }
    if (initrd && initrd_addr < end) {
        error_setg(errp, "the initrd's %" PRIu64 " bytes do not fit into RAM above the room of %"
                   PRIu64 " MiB that the kernel unpacks into", initrd_len,
                   DIV_ROUND_UP(end, 1u << 20));
        return false;
    }

    header = g_memdup2(kernel, setup_len);
    header[HDR_LOADER] = LOADER_OTHER;
    header[HDR_LOADFLAGS] |= CAN_USE_HEAP;
    stw_le_p(header + HDR_VID_MODE, 0xffff);    /* "normal" */
    stw_le_p(header + HDR_HEAP_END, 0xfe00);
    stl_le_p(header + HDR_CODE32_START, KERNEL_ADDR);
    stl_le_p(header + HDR_CMDLINE, CMDLINE_ADDR);
    stl_le_p(header + HDR_RAMDISK, initrd_addr);
    stl_le_p(header + HDR_RAMDISK_SIZE, initrd ? initrd_len : 0);
    tell_firmware(x, header, setup_len, kernel + setup_len, code_len);
    zp = make_zero_page(x, header);
    if (!rom_add_blob("boot parameters", zp, ZP_LEN, 0, ZERO_PAGE, errp)) {
        return false;
    }
    x->entry = KERNEL_ADDR;
    x->esi = ZERO_PAGE;
    return true;
}
