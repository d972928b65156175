/*
 * Kernels as ELF files with a PVH entry: note 18 of "Xen" names the address at which the kernel
 * begins, in 32-bit protected mode without paging, EBX pointing to a description of the machine.
 *
 * The file is not trusted: every offset and length is checked against the file and against RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <elf.h>
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/nvram/fw_cfg.h"

#define NOTE_PHYS32_ENTRY 18

/* Where the description goes: conventional memory that kernels leave alone until they read it. */
#define START_INFO_ADDR 0x6000u
#define CMDLINE_ADDR    0x20000u
#define CMDLINE_MAX     0x8000u

#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_LEN   56
#define MODULE_LEN       32
#define MEMMAP_LEN       24

/* What the two widths of ELF have in common, read with care. */
typedef struct Elf {
    const uint8_t *file;
    uint64_t len;
    bool wide;
    uint64_t phoff;
    unsigned phnum, phentsize;
} Elf;

typedef struct Segment {
    uint32_t type;
    uint64_t offset, paddr, filesz, memsz, align;
} Segment;

static bool elf_open(Elf *e, const uint8_t *file, uint64_t len, Error **errp)
{
    unsigned machine, need;

    *e = (Elf) { .file = file, .len = len };
    if (len < sizeof(Elf64_Ehdr) || memcmp(file, ELFMAG, SELFMAG)
        || file[EI_DATA] != ELFDATA2LSB
        || (file[EI_CLASS] != ELFCLASS32 && file[EI_CLASS] != ELFCLASS64)) {
        error_setg(errp, "it is neither a little-endian ELF file nor a bzImage");
        return false;
    }
    e->wide = file[EI_CLASS] == ELFCLASS64;
    if (e->wide) {
        Elf64_Ehdr h;

        memcpy(&h, file, sizeof(h));
        machine = h.e_machine;
        e->phoff = h.e_phoff;
        e->phnum = h.e_phnum;
        e->phentsize = h.e_phentsize;
    } else {
        Elf32_Ehdr h;

        memcpy(&h, file, sizeof(h));
        machine = h.e_machine;
        e->phoff = h.e_phoff;
        e->phnum = h.e_phnum;
        e->phentsize = h.e_phentsize;
    }
    if (machine != EM_386 && machine != EM_X86_64) {
        error_setg(errp, "the ELF file is for machine %u, not for x86", machine);
        return false;
    }
    need = e->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (e->phnum == 0 || e->phentsize < need || e->phoff > len
        || (uint64_t)e->phnum * e->phentsize > len - e->phoff) {
        error_setg(errp, "the ELF file's program headers are not within it");
        return false;
    }
    return true;
}

static bool elf_segment(const Elf *e, unsigned i, Segment *s, Error **errp)
{
    const uint8_t *at = e->file + e->phoff + (uint64_t)i * e->phentsize;

    if (e->wide) {
        Elf64_Phdr p;

        memcpy(&p, at, sizeof(p));
        *s = (Segment) { p.p_type, p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz, p.p_align };
    } else {
        Elf32_Phdr p;

        memcpy(&p, at, sizeof(p));
        *s = (Segment) { p.p_type, p.p_offset, p.p_paddr, p.p_filesz, p.p_memsz, p.p_align };
    }
    if ((s->type == PT_LOAD || s->type == PT_NOTE)
        && (s->offset > e->len || s->filesz > e->len - s->offset)) {
        error_setg(errp, "segment %u of the ELF file reaches beyond its end", i);
        return false;
    }
    return true;
}

static uint64_t round_to(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

/* Look for the entry among a segment's notes. */
static bool find_entry(const Elf *e, const Segment *s, uint32_t *entry)
{
    const uint8_t *notes = e->file + s->offset;
    uint64_t align = s->align == 8 ? 8 : 4, at = 0;

    while (s->filesz - at >= 12) {
        uint64_t name_len = ldl_le_p(notes + at), desc_len = ldl_le_p(notes + at + 4);
        uint32_t type = ldl_le_p(notes + at + 8);
        uint64_t name = at + 12, desc = round_to(name + name_len, align);

        if (desc > s->filesz || desc_len > s->filesz - desc) {
            return false;
        }
        if (type == NOTE_PHYS32_ENTRY && name_len == 4 && !memcmp(notes + name, "Xen", 4)
            && (desc_len == 4 || desc_len == 8)) {
            *entry = ldl_le_p(notes + desc);
            return desc_len == 4 || ldl_le_p(notes + desc + 4) == 0;
        }
        at = MIN(round_to(desc + desc_len, align), s->filesz);
    }
    return false;
}

/* Put the segments together as they will lie in memory: from *@start, zeros behind. */
static uint8_t *join_segments(const X86Setup *x, const Elf *e, uint64_t *start, uint64_t *len,
                              uint64_t *zeros, Error **errp)
{
    uint64_t low = UINT64_MAX, file_end = 0, end = 0;
    uint8_t *image;
    Segment s;

    for (unsigned i = 0; i < e->phnum; i++) {
        if (!elf_segment(e, i, &s, errp)) {
            return NULL;
        }
        if (s.type != PT_LOAD || s.memsz == 0) {
            continue;
        }
        if (s.filesz > s.memsz || s.paddr >= x->below_4g || s.memsz > x->below_4g - s.paddr) {
            error_setg(errp, "segment %u of the ELF file (0x%" PRIx64 " bytes at 0x%" PRIx64
                       ") does not lie in the %" PRIu64 " MiB of RAM below 4 GiB", i, s.memsz,
                       s.paddr, x->below_4g >> 20);
            return NULL;
        }
        low = MIN(low, s.paddr);
        if (s.filesz) {
            file_end = MAX(file_end, s.paddr + s.filesz);
        }
        end = MAX(end, s.paddr + s.memsz);
    }
    if (low == UINT64_MAX) {
        error_setg(errp, "the ELF file has nothing to load");
        return NULL;
    }
    file_end = MAX(file_end, low);
    image = g_try_malloc0(file_end - low + 1);
    if (!image) {
        error_setg(errp, "no memory for the kernel's %" PRIu64 " bytes", file_end - low);
        return NULL;
    }
    for (unsigned i = 0; i < e->phnum; i++) {
        if (elf_segment(e, i, &s, NULL) && s.type == PT_LOAD && s.memsz) {
            memcpy(image + (s.filesz ? s.paddr - low : 0), e->file + s.offset, s.filesz);
        }
    }
    *start = low;
    *len = file_end - low;
    *zeros = end - file_end;
    return image;
}

/* The description: start info, one module (the initrd), memory map; all in one piece. */
static bool add_start_info(X86Setup *x, bool has_initrd, uint64_t initrd, uint64_t initrd_len,
                           Error **errp)
{
    unsigned len = START_INFO_LEN + MODULE_LEN + x->map_len * MEMMAP_LEN;
    uint8_t *info = g_malloc0(len), *module = info + START_INFO_LEN, *map = module + MODULE_LEN;

    stl_le_p(info, START_INFO_MAGIC);
    stl_le_p(info + 4, 1);                      /* version: with a memory map */
    stl_le_p(info + 12, has_initrd);
    stq_le_p(info + 16, has_initrd ? START_INFO_ADDR + START_INFO_LEN : 0);
    stq_le_p(info + 24, CMDLINE_ADDR);
    stq_le_p(info + 40, START_INFO_ADDR + START_INFO_LEN + MODULE_LEN);
    stl_le_p(info + 48, x->map_len);
    stq_le_p(module, initrd);
    stq_le_p(module + 8, initrd_len);
    for (unsigned i = 0; i < x->map_len; i++, map += MEMMAP_LEN) {
        stq_le_p(map, x->map[i].addr);
        stq_le_p(map + 8, x->map[i].size);
        stl_le_p(map + 16, x->map[i].type);
    }
    return rom_add_blob("start info", info, len, 0, START_INFO_ADDR, errp);
}

bool x86_load_pvh(X86Setup *x, const uint8_t *kernel, uint64_t len, void *initrd,
                  uint64_t initrd_len, Error **errp)
{
    g_autofree void *own_initrd = initrd;
    const char *cmdline = x->ms->kernel_cmdline ?: "";
    size_t cmdline_len = strlen(cmdline) + 1;
    uint64_t start, image_len, zeros;
    hwaddr initrd_addr = 0;
    bool found = false;
    uint32_t entry = 0;
    uint8_t *image;
    Segment s;
    Elf e;

    if (!elf_open(&e, kernel, len, errp)) {
        return false;
    }
    for (unsigned i = 0; i < e.phnum && !found; i++) {
        if (!elf_segment(&e, i, &s, errp)) {
            return false;
        }
        found = s.type == PT_NOTE && find_entry(&e, &s, &entry);
    }
    if (!found) {
        error_setg(errp, "the ELF file has no PVH entry (note 18 of \"Xen\")");
        return false;
    }
    if (cmdline_len > CMDLINE_MAX) {
        error_setg(errp, "the command line is longer than %u bytes", CMDLINE_MAX - 1);
        return false;
    }
    image = join_segments(x, &e, &start, &image_len, &zeros, errp);
    if (!image) {
        return false;
    }
    if (entry < start || entry - start >= image_len) {
        error_setg(errp, "the kernel's PVH entry 0x%" PRIx32 " is not within the kernel", entry);
        g_free(image);
        return false;
    }
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_KERNEL_ENTRY, entry);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_KERNEL_ADDR, start);
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_KERNEL_SIZE, image_len);
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_KERNEL_DATA, image, image_len);
    /* Firmware looks at what kind of kernel it is. */
    fw_cfg_add_i32(x->fw_cfg, FW_CFG_SETUP_SIZE, MIN(len, 8192));
    fw_cfg_add_bytes(x->fw_cfg, FW_CFG_SETUP_DATA, kernel, MIN(len, 8192));

    if (!rom_add_blob("kernel", image, image_len, zeros, start, errp)
        || !rom_add_blob("command line", g_strdup(cmdline), cmdline_len, 0, CMDLINE_ADDR, errp)) {
        return false;
    }
    if (own_initrd && !x86_place_initrd(x, g_steal_pointer(&own_initrd), initrd_len, UINT32_MAX,
                                        &initrd_addr, errp)) {
        return false;
    }
    if (!add_start_info(x, initrd != NULL, initrd_addr, initrd_len, errp)) {
        return false;
    }
    x->entry = entry;
    x->ebx = START_INFO_ADDR;
    return true;
}
