/*
 * Images in guest memory: kept here, and copied there at every reset.
 *
 * A machine that awaits a stream gets its memory from there; nothing is copied then, as the memory
 * may be a file that the sender still works in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/loader.h"
#include <sys/stat.h>
#include "system/address-spaces.h"
#include "system/reset.h"
#include "system/runstate.h"

typedef struct Rom {
    char *name;
    uint8_t *data;
    uint64_t len, zeros;
    hwaddr addr;
} Rom;

static GPtrArray *roms;

static hwaddr rom_end(const Rom *rom)
{
    return rom->addr + rom->len + rom->zeros;
}

static void roms_reset(void *opaque)
{
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        return;
    }
    for (unsigned i = 0; i < roms->len; i++) {
        const Rom *rom = g_ptr_array_index(roms, i);

        address_space_write_rom(&address_space_memory, rom->addr, MEMTXATTRS_UNSPECIFIED,
                                rom->data, rom->len);
        address_space_set(&address_space_memory, rom->addr + rom->len, 0, rom->zeros,
                          MEMTXATTRS_UNSPECIFIED);
    }
}

bool rom_add_blob(const char *name, void *data, uint64_t len, uint64_t zeros, hwaddr addr,
                  Error **errp)
{
    Rom new = { .data = data, .len = len, .zeros = zeros, .addr = addr };

    if (!roms) {
        roms = g_ptr_array_new();
        qemu_register_reset(roms_reset, NULL);
    }
    for (unsigned i = 0; i < roms->len; i++) {
        const Rom *rom = g_ptr_array_index(roms, i);

        if (rom->addr < rom_end(&new) && addr < rom_end(rom)) {
            error_setg(errp, "%s (0x%" PRIx64 " to 0x%" PRIx64 ") would overlap %s (0x%" PRIx64
                       " to 0x%" PRIx64 ") in memory", name, addr, rom_end(&new), rom->name,
                       rom->addr, rom_end(rom));
            g_free(data);
            return false;
        }
    }
    new.name = g_strdup(name);
    g_ptr_array_add(roms, g_memdup2(&new, sizeof(new)));
    return true;
}

void rom_describe(GString *out)
{
    for (unsigned i = 0; roms && i < roms->len; i++) {
        const Rom *rom = g_ptr_array_index(roms, i);

        g_string_append_printf(out, "addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=ram name=\"%s\"\n",
                               rom->addr, rom->len + rom->zeros, rom->name);
    }
}

hwaddr rom_highest_end(hwaddr limit)
{
    hwaddr highest = 0;

    for (unsigned i = 0; roms && i < roms->len; i++) {
        const Rom *rom = g_ptr_array_index(roms, i);

        if (rom->addr < limit) {
            highest = MAX(highest, rom_end(rom));
        }
    }
    return highest;
}

void *load_file(const char *path, uint64_t max, uint64_t *len, Error **errp)
{
    int fd = qemu_open_old(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;
    uint64_t done = 0;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        error_setg(errp, S_ISREG(st.st_mode) ? "'%s' is larger than %" PRIu64 " bytes"
                                             : "'%s' is not a regular file", path, max);
        close(fd);
        return NULL;
    }
    /* One byte more, so that texts end in a zero and empty files have memory. */
    data = g_try_malloc(st.st_size + 1);
    while (data && done < (uint64_t)st.st_size) {
        ssize_t n = read(fd, data + done, st.st_size - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        done += n;
    }
    if (!data || done < (uint64_t)st.st_size) {
        error_setg(errp, "Could not read '%s'", path);
        g_free(data);
        close(fd);
        return NULL;
    }
    close(fd);
    data[done] = '\0';
    *len = done;
    return data;
}
