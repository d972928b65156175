/*
 * HMP commands on memory and ports: x, xp, print, sum, i, o, memsave, pmemsave.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "monitor/hmp.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-machine.h"
#include "qemu/bswap.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/ioport.h"
#include "system/memory.h"

static bool read_memory(CPUState *cpu, uint64_t addr, uint8_t *buf, size_t len, bool physical)
{
    while (len) {
        size_t chunk = MIN(len, 4096 - (addr & 4095));
        hwaddr phys = addr;

        if (!physical && cpu->cc->get_phys_page_debug) {
            phys = cpu->cc->get_phys_page_debug(cpu, addr & ~4095ull);
            if (phys == (hwaddr)-1) {
                return false;
            }
            phys |= addr & 4095;
        }
        if (address_space_read(&address_space_memory, phys, MEMTXATTRS_UNSPECIFIED, buf, chunk)
            != MEMTX_OK) {
            return false;
        }
        addr += chunk;
        buf += chunk;
        len -= chunk;
    }
    return true;
}

static uint64_t load_word(const uint8_t *p, int size)
{
    switch (size) {
    case 1:
        return *p;
    case 2:
        return lduw_le_p(p);
    case 4:
        return (uint32_t)ldl_le_p(p);
    default:
        return ldq_le_p(p);
    }
}

/* One character as C would write it. */
static void print_char(Monitor *mon, uint64_t value)
{
    unsigned char c = value;

    switch (c) {
    case '\'':
        monitor_puts(mon, "'\\''");
        break;
    case '\\':
        monitor_puts(mon, "'\\\\'");
        break;
    case '\n':
        monitor_puts(mon, "'\\n'");
        break;
    case '\r':
        monitor_puts(mon, "'\\r'");
        break;
    default:
        monitor_printf(mon, g_ascii_isprint(c) ? "'%c'" : "'\\x%02x'", c);
    }
}

static int64_t sign_extend(uint64_t value, int size)
{
    return (int64_t)(value << (64 - size * 8)) >> (64 - size * 8);
}

void memory_dump(Monitor *mon, int count, int format, int wsize, uint64_t addr, bool physical)
{
    /* The widest text of a word of wsize bytes. */
    int width = format == 'x' ? wsize * 2 : format == 'o' ? (wsize * 8 + 2) / 3
        : format == 'c' ? 0 : (wsize * 8 * 10 + 32) / 33;
    int line_size = wsize == 1 ? 8 : 16;
    int64_t left = (int64_t)count * wsize;
    CPUState *cpu = monitor_get_cpu(mon);

    if (!physical && !cpu) {
        monitor_puts(mon, "Can not dump without CPU\n");
        return;
    }
    if (!physical) {
        cpu_synchronize_state(cpu);
    }
    if (format == 'i') {
        monitor_puts(mon, "disassembly is not supported in this version\n");
        return;
    }
    while (left > 0) {
        int len = MIN(left, line_size);
        uint8_t buf[16];

        monitor_printf(mon, "%016" PRIx64 ":", addr);
        if (!read_memory(cpu, addr, buf, len, physical)) {
            monitor_puts(mon, " Cannot access memory\n");
            return;
        }
        for (int i = 0; i < len; i += wsize) {
            uint64_t v = load_word(buf + i, wsize);

            monitor_puts(mon, " ");
            switch (format) {
            case 'o':
                monitor_printf(mon, "%#*" PRIo64, width, v);
                break;
            case 'x':
                monitor_printf(mon, "0x%0*" PRIx64, width, v);
                break;
            case 'u':
                monitor_printf(mon, "%*" PRIu64, width, v);
                break;
            case 'd':
                monitor_printf(mon, "%*" PRId64, width, sign_extend(v, wsize));
                break;
            case 'c':
                print_char(mon, v);
                break;
            }
        }
        monitor_puts(mon, "\n");
        addr += len;
        left -= len;
    }
}

void hmp_memory_dump(Monitor *mon, const QDict *qdict)
{
    memory_dump(mon, qdict_get_int(qdict, "count"), qdict_get_int(qdict, "format"),
                qdict_get_int(qdict, "size"), qdict_get_int(qdict, "addr"), false);
}

void hmp_physical_memory_dump(Monitor *mon, const QDict *qdict)
{
    memory_dump(mon, qdict_get_int(qdict, "count"), qdict_get_int(qdict, "format"),
                qdict_get_int(qdict, "size"), qdict_get_int(qdict, "addr"), true);
}

void hmp_print(Monitor *mon, const QDict *qdict)
{
    int64_t value = qdict_get_int(qdict, "val");

    switch (qdict_get_int(qdict, "format")) {
    case 'o':
        monitor_printf(mon, "%#" PRIo64, value);
        break;
    case 'u':
        monitor_printf(mon, "%" PRIu64, value);
        break;
    case 'd':
        monitor_printf(mon, "%" PRId64, value);
        break;
    case 'c':
        print_char(mon, value);
        break;
    default:
        monitor_printf(mon, "%#" PRIx64, value);
    }
    monitor_puts(mon, "\n");
}

/* The sum that BSD's sum(1) makes: 16 bits, rotated. */
void hmp_sum(Monitor *mon, const QDict *qdict)
{
    uint64_t addr = qdict_get_int(qdict, "start"), size = qdict_get_int(qdict, "size");
    uint16_t sum = 0;

    for (uint64_t i = 0; i < MIN(size, 1ull << 32); i++) {
        uint8_t byte = address_space_ldub(&address_space_memory, addr + i,
                                          MEMTXATTRS_UNSPECIFIED, NULL);

        sum = (sum >> 1) | (sum << 15);
        sum += byte;
    }
    monitor_printf(mon, "%05d\n", sum);
}

static const char *port_suffix(int size)
{
    return size == 1 ? "b" : size == 2 ? "w" : "l";
}

void hmp_ioport_read(Monitor *mon, const QDict *qdict)
{
    int size = MIN(qdict_get_int(qdict, "size"), 4);
    uint16_t addr = qdict_get_int(qdict, "addr");
    uint32_t val = size == 1 ? cpu_inb(addr) : size == 2 ? cpu_inw(addr) : cpu_inl(addr);

    monitor_printf(mon, "port%s[0x%04x] = 0x%0*x\n", port_suffix(size), addr, size * 2, val);
}

void hmp_ioport_write(Monitor *mon, const QDict *qdict)
{
    int size = MIN(qdict_get_int(qdict, "size"), 4);
    uint16_t addr = qdict_get_int(qdict, "addr");
    uint32_t val = qdict_get_int(qdict, "val");

    if (size == 1) {
        cpu_outb(addr, val);
    } else if (size == 2) {
        cpu_outw(addr, val);
    } else {
        cpu_outl(addr, val);
    }
}

void hmp_memsave(Monitor *mon, const QDict *qdict)
{
    int cpu_index = monitor_get_cpu_index(mon);
    Error *err = NULL;

    if (cpu_index < 0) {
        monitor_puts(mon, "No CPU available\n");
        return;
    }
    qmp_memsave(qdict_get_int(qdict, "val"), qdict_get_int(qdict, "size"),
                qdict_get_str(qdict, "filename"), true, cpu_index, &err);
    hmp_handle_error(mon, err);
}

void hmp_pmemsave(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_pmemsave(qdict_get_int(qdict, "val"), qdict_get_int(qdict, "size"),
                 qdict_get_str(qdict, "filename"), &err);
    hmp_handle_error(mon, err);
}
