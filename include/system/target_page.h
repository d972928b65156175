/*
 * The guest's page size.  One target, so one constant: 4 KiB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_TARGET_PAGE_H
#define SYSTEM_TARGET_PAGE_H

#define TARGET_PAGE_BITS 12
#define TARGET_PAGE_SIZE (1ull << TARGET_PAGE_BITS)
#define TARGET_PAGE_MASK (~(TARGET_PAGE_SIZE - 1))
#define TARGET_PAGE_ALIGN(addr) (((addr) + TARGET_PAGE_SIZE - 1) & TARGET_PAGE_MASK)

static inline size_t qemu_target_page_size(void)
{
    return TARGET_PAGE_SIZE;
}
static inline int qemu_target_page_bits(void)
{
    return TARGET_PAGE_BITS;
}

#endif
