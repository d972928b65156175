/*
 * An ATA channel: the task file, PIO commands, the data port and the interrupt.
 *
 * Commands are carried out at once, by the thread that writes the command register: the guest never
 * sees BSY, save in a soft reset. There is no DMA, and IDENTIFY says so. Sectors go through a
 * buffer of at most IDE_MAX_MULTIPLE of them; a write reaches the image when its buffer is full.
 *
 * All that the guest may set is checked where it is used, and so is what a stream may have left when it
 * broke off: the address against the size of the disk, the position against the buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "hw/irq.h"
#include "qemu/bswap.h"
#include "qemu/trace.h"

TRACE_EVENT(ide_command);

enum { REG_DATA, REG_ERROR, REG_NSECTOR, REG_SECTOR, REG_LCYL, REG_HCYL, REG_SELECT, REG_STATUS };

enum {
    STATUS_ERR = 0x01,
    STATUS_DRQ = IDE_STATUS_DRQ,
    STATUS_SEEK = 0x10,
    STATUS_FAULT = 0x20,
    STATUS_READY = 0x40,
    STATUS_BUSY = 0x80,
    STATUS_IDLE = STATUS_READY | STATUS_SEEK,

    ERROR_ABORT = 0x04,
    ERROR_NO_SECTOR = 0x10,
    ERROR_UNREADABLE = 0x40,

    SELECT_LBA = 0x40,
    SELECT_UNIT = 0x10,
    SELECT_ALWAYS = 0xa0,

    CONTROL_NO_IRQ = 0x02,
    CONTROL_RESET = 0x04,
    CONTROL_OLDER = 0x80,
};

enum {
    CMD_RECALIBRATE = 0x10,
    CMD_READ = 0x20,
    CMD_READ_NO_RETRY = 0x21,
    CMD_READ_EXT = 0x24,
    CMD_READ_NATIVE_MAX_EXT = 0x27,
    CMD_READ_MULTIPLE_EXT = 0x29,
    CMD_WRITE = 0x30,
    CMD_WRITE_NO_RETRY = 0x31,
    CMD_WRITE_EXT = 0x34,
    CMD_WRITE_MULTIPLE_EXT = 0x39,
    CMD_VERIFY = 0x40,
    CMD_VERIFY_NO_RETRY = 0x41,
    CMD_VERIFY_EXT = 0x42,
    CMD_SEEK = 0x70,
    CMD_DIAGNOSTIC = 0x90,
    CMD_SET_GEOMETRY = 0x91,
    CMD_READ_MULTIPLE = 0xc4,
    CMD_WRITE_MULTIPLE = 0xc5,
    CMD_SET_MULTIPLE = 0xc6,
    CMD_STANDBY_NOW = 0xe0,
    CMD_IDLE_NOW = 0xe1,
    CMD_STANDBY = 0xe2,
    CMD_IDLE = 0xe3,
    CMD_CHECK_POWER = 0xe5,
    CMD_SLEEP = 0xe6,
    CMD_FLUSH = 0xe7,
    CMD_FLUSH_EXT = 0xea,
    CMD_IDENTIFY = 0xec,
    CMD_SET_FEATURES = 0xef,
    CMD_READ_NATIVE_MAX = 0xf8,
};

static bool is_ext(uint8_t command)
{
    return command == CMD_READ_EXT || command == CMD_READ_MULTIPLE_EXT ||
           command == CMD_WRITE_EXT || command == CMD_WRITE_MULTIPLE_EXT ||
           command == CMD_VERIFY_EXT || command == CMD_READ_NATIVE_MAX_EXT;
}

static IDEUnit *selected_unit(IDEBus *bus)
{
    return &bus->units[bus->selected ? 1 : 0];
}

/* ---- interrupt ---- */

static void update_irq(IDEBus *bus)
{
    qemu_set_irq(bus->irq, bus->irq_pending && !(bus->control & CONTROL_NO_IRQ));
}

static void raise_irq(IDEBus *bus)
{
    bus->irq_pending = true;
    update_irq(bus);
}

static void clear_irq(IDEBus *bus)
{
    bus->irq_pending = false;
    update_irq(bus);
}

/* ---- ends of commands ---- */

void ide_end_transfer(IDEUnit *u)
{
    u->transfer = IDE_TRANSFER_NONE;
    u->pos = u->len = u->left = 0;
}

static void succeed(IDEUnit *u)
{
    ide_end_transfer(u);
    u->error = 0;
    u->status = STATUS_IDLE;
}

static void fail(IDEUnit *u, uint8_t error)
{
    ide_end_transfer(u);
    u->error = error;
    u->status = STATUS_IDLE | STATUS_ERR;
}

/* ---- addresses ---- */

static void set_register(uint8_t *reg, uint8_t value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

/* What the registers say; not checked against anything. True: it is an address. */
static bool get_lba(const IDEUnit *u, bool ext, uint64_t *lba)
{
    uint32_t low = u->sector[0] | u->lcyl[0] << 8 | u->hcyl[0] << 16;
    unsigned head = u->select & 0xf;

    if (ext) {
        uint32_t high = u->sector[1] | u->lcyl[1] << 8 | u->hcyl[1] << 16;

        *lba = (uint64_t)high << 24 | low;
        return u->select & SELECT_LBA;
    }
    if (u->select & SELECT_LBA) {
        *lba = low | head << 24;
        return true;
    }
    *lba = ((u->lcyl[0] | u->hcyl[0] << 8) * u->chs_heads + head) * (uint64_t)u->chs_secs +
           u->sector[0] - 1;
    return u->sector[0] && u->sector[0] <= u->chs_secs && head < u->chs_heads;
}

static void set_lba(IDEUnit *u, bool ext, uint64_t lba)
{
    if (ext) {
        u->sector[1] = lba >> 24;
        u->lcyl[1] = lba >> 32;
        u->hcyl[1] = lba >> 40;
    }
    if (ext || (u->select & SELECT_LBA)) {
        u->sector[0] = lba;
        u->lcyl[0] = lba >> 8;
        u->hcyl[0] = lba >> 16;
        if (!ext) {
            u->select = (u->select & ~0xf) | ((lba >> 24) & 0xf);
        }
    } else if (u->chs_heads && u->chs_secs) {
        uint64_t track = lba / u->chs_secs, cyl = track / u->chs_heads;

        u->sector[0] = lba % u->chs_secs + 1;
        u->select = (u->select & ~0xf) | (track % u->chs_heads);
        u->lcyl[0] = cyl;
        u->hcyl[0] = cyl >> 8;
    }
}

static uint32_t get_count(const IDEUnit *u, bool ext)
{
    return ext ? (u->nsector[0] | u->nsector[1] << 8 ?: 65536) : (u->nsector[0] ?: 256);
}

/* The registers point at the sector that it failed at. */
static void fail_at(IDEUnit *u, uint8_t error)
{
    set_lba(u, u->ext, u->lba);
    fail(u, error);
}

/* ---- reading and writing ---- */

/* Sectors that come next, between two interrupts. */
static uint32_t next_piece(const IDEUnit *u)
{
    return MIN(MIN(u->left, u->block), IDE_MAX_MULTIPLE);
}

static void read_piece(IDEUnit *u)
{
    uint32_t n = next_piece(u);
    int ret;

    if (!ide_in_disk(u, u->lba, n)) {
        fail_at(u, ERROR_NO_SECTOR);
        return;
    }
    ret = blk_pread(u->dev->blk, u->lba << BDRV_SECTOR_BITS, n << BDRV_SECTOR_BITS, u->buffer);
    if (ret < 0) {
        fail_at(u, ERROR_UNREADABLE);
        return;
    }
    u->lba += n;
    u->left -= n;
    u->pos = 0;
    u->len = n << BDRV_SECTOR_BITS;
    u->transfer = IDE_TRANSFER_READ;
    u->status = STATUS_IDLE | STATUS_DRQ;
}

static void expect_piece(IDEUnit *u)
{
    uint32_t n = next_piece(u);

    if (!ide_in_disk(u, u->lba, n)) {
        fail_at(u, ERROR_NO_SECTOR);
        return;
    }
    u->left -= n;
    u->pos = 0;
    u->len = n << BDRV_SECTOR_BITS;
    u->transfer = IDE_TRANSFER_WRITE;
    u->status = STATUS_IDLE | STATUS_DRQ;
}

static void write_piece(IDEUnit *u)
{
    int ret = blk_pwrite(u->dev->blk, u->lba << BDRV_SECTOR_BITS, u->len, u->buffer);

    if (ret < 0) {
        fail_at(u, ERROR_ABORT);
        u->status |= STATUS_FAULT;
        return;
    }
    u->lba += u->len >> BDRV_SECTOR_BITS;
    if (u->left) {
        expect_piece(u);
    } else {
        succeed(u);
    }
}

/* All bytes of the buffer went through the data port. */
static void buffer_done(IDEBus *bus, IDEUnit *u)
{
    switch (u->transfer) {
    case IDE_TRANSFER_READ:
        if (u->left) {
            read_piece(u);
            raise_irq(bus);
            return;
        }
        break;
    case IDE_TRANSFER_WRITE:
        write_piece(u);
        raise_irq(bus);
        return;
    default:
        break;
    }
    succeed(u);
}

static bool has_buffer(const IDEUnit *u)
{
    return u->dev && u->pos < u->len && u->len <= IDE_BUFFER_SIZE;
}

static uint32_t data_read(IDEBus *bus, IDEUnit *u, unsigned size)
{
    uint8_t bytes[4] = { 0 };
    unsigned n;

    if (!has_buffer(u) ||
        (u->transfer != IDE_TRANSFER_READ && u->transfer != IDE_TRANSFER_REPLY)) {
        return 0;
    }
    n = MIN(size, u->len - u->pos);
    memcpy(bytes, u->buffer + u->pos, n);
    u->pos += n;
    if (u->pos == u->len) {
        buffer_done(bus, u);
    }
    return ldl_le_p(bytes);
}

static void data_write(IDEBus *bus, IDEUnit *u, uint32_t value, unsigned size)
{
    uint8_t bytes[4];
    unsigned n;

    if (!has_buffer(u) || u->transfer != IDE_TRANSFER_WRITE) {
        return;
    }
    stl_le_p(bytes, value);
    n = MIN(size, u->len - u->pos);
    memcpy(u->buffer + u->pos, bytes, n);
    u->pos += n;
    if (u->pos == u->len) {
        buffer_done(bus, u);
    }
}

/* ---- commands ---- */

static void put_text(uint8_t *words, unsigned first, unsigned count, const char *text)
{
    size_t length = strlen(text);

    /* The first character is the upper byte of the first word. */
    for (unsigned i = 0; i < count * 2; i++) {
        words[(first * 2 + i) ^ 1] = i < length ? text[i] : ' ';
    }
}

static void put_word(uint8_t *words, unsigned n, uint16_t value)
{
    stw_le_p(words + n * 2, value);
}

static void identify(IDEUnit *u)
{
    const IDEDevice *d = u->dev;
    uint8_t *w = u->buffer;
    uint32_t chs = MIN((uint64_t)d->cyls * d->heads * d->secs, UINT32_MAX);
    uint32_t lba28 = MIN(u->sectors, 0x0fffffff);
    uint16_t wwn = d->wwn ? 0x0100 : 0, cache = u->write_cache ? 0x0020 : 0;

    memset(w, 0, BDRV_SECTOR_SIZE);
    put_word(w, 0, 0x0040);                     /* a disk that can't be taken out */
    put_word(w, 1, d->cyls);
    put_word(w, 3, d->heads);
    put_word(w, 6, d->secs);
    put_text(w, 10, 10, d->serial);
    put_text(w, 23, 4, d->version);
    put_text(w, 27, 20, d->model);
    put_word(w, 47, 0x8000 | IDE_MAX_MULTIPLE);
    put_word(w, 48, 1);                         /* 32-bit accesses to the data port */
    put_word(w, 49, 0x0a00);                    /* LBA, IORDY; no DMA */
    put_word(w, 51, 0x0200);
    put_word(w, 53, 0x0003);                    /* words 54 to 58 and 64 to 70 count */
    put_word(w, 54, d->cyls);
    put_word(w, 55, u->chs_heads);
    put_word(w, 56, u->chs_secs);
    put_word(w, 57, chs);
    put_word(w, 58, chs >> 16);
    put_word(w, 59, u->multiple ? 0x0100 | u->multiple : 0);
    put_word(w, 60, lba28);
    put_word(w, 61, lba28 >> 16);
    put_word(w, 64, 0x0003);                    /* PIO modes 3 and 4 */
    put_word(w, 67, 120);                       /* ns a word */
    put_word(w, 68, 120);
    put_word(w, 80, 0x0070);                    /* ATA-4 to ATA-6 */
    put_word(w, 82, 0x0028);                    /* write cache, power management */
    put_word(w, 83, 0x7400);                    /* 48 bits, FLUSH CACHE, and the same EXT */
    put_word(w, 84, 0x4000 | wwn);
    put_word(w, 85, 0x0008 | cache);
    put_word(w, 86, 0x3400);
    put_word(w, 87, 0x4000 | wwn);
    put_word(w, 93, 0x4001);
    for (unsigned i = 0; i < 4; i++) {
        put_word(w, 100 + i, u->sectors >> (16 * i));
        put_word(w, 108 + i, d->wwn >> (48 - 16 * i));
    }
    put_word(w, 217, d->rotation_rate);

    u->transfer = IDE_TRANSFER_REPLY;
    u->pos = 0;
    u->len = BDRV_SECTOR_SIZE;
    u->status = STATUS_IDLE | STATUS_DRQ;
}

static void set_features(IDEUnit *u)
{
    switch (u->feature[0]) {
    case 0x02:
    case 0x82:
        /* Without a cache to the guest, every write waits for the storage. */
        if (u->feature[0] == 0x82 && blk_flush(u->dev->blk) < 0) {
            fail(u, ERROR_ABORT);
            return;
        }
        u->write_cache = u->feature[0] == 0x02;
        blk_set_enable_write_cache(u->dev->blk, u->write_cache);
        break;
    case 0x03:
        /* The default, or a PIO mode. */
        if (u->nsector[0] > 0x01 && (u->nsector[0] < 0x08 || u->nsector[0] > 0x0c)) {
            fail(u, ERROR_ABORT);
            return;
        }
        break;
    case 0x66: /* keep settings over a soft reset */
    case 0xcc:
        break;
    default:
        fail(u, ERROR_ABORT);
        return;
    }
    succeed(u);
}

static void set_signature(IDEUnit *u)
{
    ide_end_transfer(u);
    u->error = 1; /* passed */
    u->nsector[0] = u->sector[0] = 1;
    u->lcyl[0] = u->hcyl[0] = 0;
    u->select = SELECT_ALWAYS;
    u->status = u->dev ? STATUS_IDLE : 0;
}

static void reset_channel(IDEBus *bus)
{
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        set_signature(&bus->units[i]);
    }
    bus->selected = 0;
}

static void start_transfer(IDEUnit *u, uint8_t command)
{
    bool ext = is_ext(command);
    bool multiple = command == CMD_READ_MULTIPLE || command == CMD_READ_MULTIPLE_EXT ||
                    command == CMD_WRITE_MULTIPLE || command == CMD_WRITE_MULTIPLE_EXT;
    bool writes = (command & 0xf0) == 0x30 || command == CMD_WRITE_MULTIPLE;

    if (multiple && !u->multiple) {
        fail(u, ERROR_ABORT);
        return;
    }
    if (!get_lba(u, ext, &u->lba)) {
        fail(u, ERROR_NO_SECTOR);
        return;
    }
    u->error = 0;
    u->ext = ext;
    u->left = get_count(u, ext);
    u->block = multiple ? u->multiple : 1;
    if (writes) {
        expect_piece(u);
    } else {
        read_piece(u);
    }
}

static void verify(IDEUnit *u, bool ext)
{
    uint64_t lba;

    if (get_lba(u, ext, &lba) && ide_in_disk(u, lba, get_count(u, ext))) {
        succeed(u);
    } else {
        fail(u, ERROR_NO_SECTOR);
    }
}

/* The rest of them: done when this returns. */
static void simple_command(IDEUnit *u, uint8_t command)
{
    switch (command) {
    case CMD_RECALIBRATE ... CMD_RECALIBRATE + 0xf:
    case CMD_STANDBY_NOW ... CMD_IDLE:
    case CMD_SLEEP:
        succeed(u);
        break;
    case CMD_SEEK ... CMD_SEEK + 0xf:
    case CMD_VERIFY:
    case CMD_VERIFY_NO_RETRY:
    case CMD_VERIFY_EXT:
        verify(u, command == CMD_VERIFY_EXT);
        break;
    case CMD_SET_GEOMETRY:
        if (!u->nsector[0]) {
            fail(u, ERROR_ABORT);
            break;
        }
        u->chs_secs = u->nsector[0];
        u->chs_heads = (u->select & 0xf) + 1;
        succeed(u);
        break;
    case CMD_SET_MULTIPLE:
        if (u->nsector[0] > IDE_MAX_MULTIPLE || (u->nsector[0] & (u->nsector[0] - 1))) {
            fail(u, ERROR_ABORT);
            break;
        }
        u->multiple = u->nsector[0];
        succeed(u);
        break;
    case CMD_CHECK_POWER:
        u->nsector[0] = 0xff; /* awake */
        succeed(u);
        break;
    case CMD_FLUSH:
    case CMD_FLUSH_EXT:
        if (blk_flush(u->dev->blk) < 0) {
            fail(u, ERROR_ABORT);
            u->status |= STATUS_FAULT;
            break;
        }
        succeed(u);
        break;
    case CMD_READ_NATIVE_MAX:
    case CMD_READ_NATIVE_MAX_EXT:
        if (!u->sectors || !(u->select & SELECT_LBA)) {
            fail(u, ERROR_ABORT);
            break;
        }
        if (command == CMD_READ_NATIVE_MAX) {
            set_lba(u, false, MIN(u->sectors, 0x10000000) - 1);
        } else {
            set_lba(u, true, u->sectors - 1);
        }
        succeed(u);
        break;
    case CMD_SET_FEATURES:
        set_features(u);
        break;
    default:
        fail(u, ERROR_ABORT);
        break;
    }
}

static void command_write(IDEBus *bus, uint8_t command)
{
    IDEUnit *u = selected_unit(bus);

    trace(ide_command, "unit %u command 0x%02x", bus->selected, command);
    clear_irq(bus);
    if (command == CMD_DIAGNOSTIC) {
        reset_channel(bus); /* meant for both */
        raise_irq(bus);
        return;
    }
    if (!u->dev) {
        return;
    }
    ide_end_transfer(u);
    switch (command) {
    case CMD_READ:
    case CMD_READ_NO_RETRY:
    case CMD_READ_EXT:
    case CMD_READ_MULTIPLE:
    case CMD_READ_MULTIPLE_EXT:
        start_transfer(u, command);
        break;
    case CMD_WRITE:
    case CMD_WRITE_NO_RETRY:
    case CMD_WRITE_EXT:
    case CMD_WRITE_MULTIPLE:
    case CMD_WRITE_MULTIPLE_EXT:
        start_transfer(u, command);
        if (u->status & STATUS_DRQ) {
            return; /* the first block is asked for without an interrupt */
        }
        break;
    case CMD_IDENTIFY:
        identify(u);
        break;
    default:
        simple_command(u, command);
        break;
    }
    raise_irq(bus);
}

/* ---- registers ---- */

static uint8_t register_read(IDEBus *bus, hwaddr addr)
{
    const IDEUnit *u = selected_unit(bus);
    unsigned older = bus->control & CONTROL_OLDER ? 1 : 0;

    if (!u->dev) {
        return 0;
    }
    switch (addr) {
    case REG_ERROR:
        return older ? u->feature[1] : u->error;
    case REG_NSECTOR:
        return u->nsector[older];
    case REG_SECTOR:
        return u->sector[older];
    case REG_LCYL:
        return u->lcyl[older];
    case REG_HCYL:
        return u->hcyl[older];
    case REG_SELECT:
        return u->select;
    default:
        return u->status;
    }
}

/* Both disks listen, whichever is selected. */
static void register_write(IDEBus *bus, hwaddr addr, uint8_t value)
{
    bus->control &= ~CONTROL_OLDER;
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        IDEUnit *u = &bus->units[i];

        switch (addr) {
        case REG_ERROR:
            set_register(u->feature, value);
            break;
        case REG_NSECTOR:
            set_register(u->nsector, value);
            break;
        case REG_SECTOR:
            set_register(u->sector, value);
            break;
        case REG_LCYL:
            set_register(u->lcyl, value);
            break;
        case REG_HCYL:
            set_register(u->hcyl, value);
            break;
        case REG_SELECT:
            u->select = value | SELECT_ALWAYS;
            bus->selected = value & SELECT_UNIT ? 1 : 0;
            break;
        }
    }
    if (addr == REG_STATUS && !(bus->control & CONTROL_RESET)) {
        command_write(bus, value);
    }
}

static uint64_t ide_command_read(void *opaque, hwaddr addr, unsigned size)
{
    IDEBus *bus = opaque;
    uint8_t value;

    if (addr == REG_DATA) {
        return data_read(bus, selected_unit(bus), size);
    }
    value = register_read(bus, addr);
    if (addr == REG_STATUS) {
        clear_irq(bus);
    }
    return value;
}

static void ide_command_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    IDEBus *bus = opaque;

    if (addr == REG_DATA) {
        data_write(bus, selected_unit(bus), value, size);
    } else {
        register_write(bus, addr, value);
    }
}

/* Only the data port is wider than a byte; what is wider elsewhere counts by its low byte. */
const MemoryRegionOps ide_command_ops = {
    .read = ide_command_read,
    .write = ide_command_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 4 },
};

static uint64_t ide_control_read(void *opaque, hwaddr addr, unsigned size)
{
    return register_read(opaque, REG_STATUS);
}

static void ide_control_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    IDEBus *bus = opaque;
    bool was = bus->control & CONTROL_RESET, is = value & CONTROL_RESET;

    bus->control = value;
    if (is && !was) {
        reset_channel(bus);
        bus->irq_pending = false;
        for (unsigned i = 0; i < IDE_UNITS; i++) {
            bus->units[i].status = bus->units[i].dev ? STATUS_BUSY : 0;
        }
    } else if (was && !is) {
        reset_channel(bus);
    }
    update_irq(bus);
}

const MemoryRegionOps ide_control_ops = {
    .read = ide_control_read,
    .write = ide_control_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

void ide_bus_reset(IDEBus *bus)
{
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        IDEUnit *u = &bus->units[i];

        u->multiple = 0;
        u->feature[0] = 0;
        u->feature[1] = u->nsector[1] = u->sector[1] = u->lcyl[1] = u->hcyl[1] = 0;
        if (u->dev) {
            u->chs_heads = u->dev->heads;
            u->chs_secs = u->dev->secs;
            u->write_cache = blk_enable_write_cache(u->dev->blk);
        }
    }
    bus->control = 0;
    reset_channel(bus);
    clear_irq(bus);
}
