/*
 * Multifd's packets: writer and reader of each side by side.
 *
 * Init, 64 bytes, once: be32 magic, be32 version, the guest's UUID, a byte channel number, zeroes.
 *
 * Packet: be32 magic, be32 version, be32 flags, be32 pages_alloc, be32 normal pages, be32 bytes of
 * payload behind the packet, be64 number of the packet among all channels', be32 zero pages, 28
 * zero bytes, 256 bytes block name, and be64 offsets for a full packet, used or not. What QEMU 7.2
 * leaves over from an earlier packet in the size field of one without pages means nothing, and
 * pages_alloc of one without pages may be 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "multifd.h"
#include "qapi/error.h"
#include "qemu/bswap.h"

enum {
    AT_MAGIC = 0, AT_VERSION = 4,
    /* init */
    AT_UUID = 8, AT_ID = 24,
    /* packet */
    AT_FLAGS = 8, AT_ALLOC = 12, AT_NORMAL = 16, AT_NEXT_SIZE = 20, AT_NUMBER = 24, AT_ZERO = 32,
    AT_BLOCK = 64, AT_OFFSETS = MULTIFD_HEADER_SIZE,
};

static void put_magic(uint8_t *buf)
{
    stl_be_p(buf + AT_MAGIC, MULTIFD_MAGIC);
    stl_be_p(buf + AT_VERSION, MULTIFD_VERSION);
}

static bool check_magic(const uint8_t *buf, const char *what, Error **errp)
{
    uint32_t magic = ldl_be_p(buf + AT_MAGIC), version = ldl_be_p(buf + AT_VERSION);

    if (magic != MULTIFD_MAGIC) {
        error_setg(errp, "%s begins with 0x%08x, expected 0x%08x", what, magic, MULTIFD_MAGIC);
        return false;
    }
    if (version != MULTIFD_VERSION) {
        error_setg(errp, "%s has version %u, expected %u", what, version, MULTIFD_VERSION);
        return false;
    }
    return true;
}

void multifd_init_write(uint8_t buf[MULTIFD_INIT_SIZE], const MultiFDInit *init)
{
    memset(buf, 0, MULTIFD_INIT_SIZE);
    put_magic(buf);
    memcpy(buf + AT_UUID, init->uuid.data, sizeof(init->uuid.data));
    buf[AT_ID] = init->id;
}

bool multifd_init_parse(MultiFDInit *init, const uint8_t buf[MULTIFD_INIT_SIZE], Error **errp)
{
    if (!check_magic(buf, "its first packet", errp)) {
        return false;
    }
    memcpy(init->uuid.data, buf + AT_UUID, sizeof(init->uuid.data));
    init->id = buf[AT_ID];
    return true;
}

void multifd_packet_write(uint8_t buf[MULTIFD_PACKET_SIZE], const MultiFDPacket *packet)
{
    uint32_t pages = packet->normal_num + packet->zero_num;

    memset(buf, 0, MULTIFD_HEADER_SIZE);
    put_magic(buf);
    stl_be_p(buf + AT_FLAGS, packet->flags);
    stl_be_p(buf + AT_ALLOC, MULTIFD_PACKET_PAGES);
    stl_be_p(buf + AT_NORMAL, packet->normal_num);
    stl_be_p(buf + AT_NEXT_SIZE, packet->next_packet_size);
    stq_be_p(buf + AT_NUMBER, packet->packet_num);
    stl_be_p(buf + AT_ZERO, packet->zero_num);
    g_strlcpy((char *)buf + AT_BLOCK, packet->block, sizeof(packet->block));
    for (uint32_t i = 0; i < pages; i++) {
        stq_be_p(buf + AT_OFFSETS + i * 8, packet->offset[i]);
    }
    memset(buf + AT_OFFSETS + pages * 8, 0, MULTIFD_PACKET_SIZE - AT_OFFSETS - pages * 8);
}

bool multifd_packet_parse(MultiFDPacket *packet, const uint8_t buf[MULTIFD_PACKET_SIZE],
                          Error **errp)
{
    uint64_t number = ldq_be_p(buf + AT_NUMBER);
    g_autofree char *what = g_strdup_printf("packet %" PRIu64, number);
    uint32_t alloc = ldl_be_p(buf + AT_ALLOC);
    uint64_t pages;

    if (!check_magic(buf, what, errp)) {
        return false;
    }
    packet->flags = ldl_be_p(buf + AT_FLAGS);
    packet->normal_num = ldl_be_p(buf + AT_NORMAL);
    packet->zero_num = ldl_be_p(buf + AT_ZERO);
    packet->packet_num = number;
    pages = (uint64_t)packet->normal_num + packet->zero_num;
    if (alloc > MULTIFD_PACKET_PAGES || pages > MULTIFD_PACKET_PAGES) {
        error_setg(errp, "%s has %" PRIu64 " pages and room for %u, expected at most %u", what,
                   pages, alloc, (unsigned)MULTIFD_PACKET_PAGES);
        return false;
    }
    packet->next_packet_size = packet->normal_num ? ldl_be_p(buf + AT_NEXT_SIZE) : 0;
    if (packet->next_packet_size > MULTIFD_PAYLOAD_MAX ||
        (packet->normal_num && !packet->next_packet_size)) {
        error_setg(errp, "%s announces %u bytes for %u pages", what, packet->next_packet_size,
                   packet->normal_num);
        return false;
    }
    memcpy(packet->block, buf + AT_BLOCK, sizeof(packet->block));
    if (!memchr(packet->block, 0, sizeof(packet->block))) {
        error_setg(errp, "%s has a block name without an end", what);
        return false;
    }
    for (uint64_t i = 0; i < pages; i++) {
        packet->offset[i] = ldq_be_p(buf + AT_OFFSETS + i * 8);
        if (packet->offset[i] & ~TARGET_PAGE_MASK) {
            error_setg(errp, "%s: offset 0x%" PRIx64 " in block '%s' is not that of a page", what,
                       packet->offset[i], packet->block);
            return false;
        }
    }
    return true;
}
