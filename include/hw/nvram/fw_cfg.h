/*
 * The interface through which firmware asks for the machine's configuration, section "fw_cfg".
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include "hw/qdev-core.h"

#define TYPE_FW_CFG_IO "fw_cfg_io"
typedef struct FWCfgState FWCfgState;

/* Numbers of entries: guests know them. */
enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

/** Make the device at port @iobase (data at + 1, DMA at + 4). */
FWCfgState *fw_cfg_init_io_dma(uint32_t iobase);

/* The machine's; NULL if it has none. */
FWCfgState *fw_cfg_find(void);

/* Entries; a number that exists is replaced. Data is copied. */
void fw_cfg_add_bytes(FWCfgState *s, uint16_t key, const void *data, size_t len);
void fw_cfg_add_i16(FWCfgState *s, uint16_t key, uint16_t value);
void fw_cfg_add_i32(FWCfgState *s, uint16_t key, uint32_t value);
void fw_cfg_add_i64(FWCfgState *s, uint16_t key, uint64_t value);
/** A named entry; names have at most 55 characters. Its number is its place among all names. */
void fw_cfg_add_file(FWCfgState *s, const char *name, const void *data, size_t len);

/* Names for fw_cfg_add_block(). */
#define FW_CFG_ACPI_TABLES "etc/acpi/tables"
#define FW_CFG_ACPI_LOADER "etc/table-loader"
#define FW_CFG_ACPI_RSDP   "etc/acpi/rsdp"

/**
 * One of the named entries above, all of which or none a machine has: in a RAM block "/rom@NAME" of
 * up to @max bytes, which travels. A reset brings back @data. Before the device is reset first.
 */
bool fw_cfg_add_block(FWCfgState *s, const char *name, const void *data, size_t len, size_t max,
                      Error **errp);

#endif
