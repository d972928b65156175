/*
 * A multifd channel: any bytes behind a good hello and the first SYNC, through the receiver with its thread.
 * First byte: the compression. Behind each SYNC that comes the main stream says that it may go on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "../../migration/migration.h"
#include "../../migration/multifd.h"
#include "../../migration/ram.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_machine();
    migrate_get_current()->capabilities[MIGRATION_CAPABILITY_MULTIFD] = true;
    migrate_get_current()->parameters.multifd_channels = 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const MultiFDInit init;
    static const MultiFDPacket sync = {.flags = MULTIFD_FLAG_SYNC};
    MigrationIncomingState *mis = migration_incoming_get_current();
    const size_t before = MULTIFD_INIT_SIZE + MULTIFD_PACKET_SIZE;
    g_autofree uint8_t *stream = NULL;
    QIOChannel *ioc, *main_ioc;
    Error *err = NULL;

    if (size < 1) {
        return 0;
    }
    stream = g_malloc(before + size);
    multifd_init_write(stream, &init);
    multifd_packet_write(stream + MULTIFD_INIT_SIZE, &sync);
    memcpy(stream + before, data + 1, size - 1);
    migrate_get_current()->parameters.multifd_compression = data[0] % 3; /* none, zlib, zstd */

    main_ioc = fuzz_channel(NULL, 0);
    mis->from_src_file = qemu_file_new_input(main_ioc);
    ram_stream_load_setup(mis->from_src_file, &error_abort);
    ioc = fuzz_channel(stream, before + size - 1);
    multifd_recv_setup();
    multifd_recv_new_channel(ioc, &error_abort);
    object_unref(OBJECT(ioc));
    while (multifd_recv_sync_main(mis->from_src_file, &err)) {
        /* the next one */
    }
    error_free(err);
    err = NULL;
    multifd_recv_finish(&err);
    error_free(err);
    multifd_recv_cleanup();
    ram_stream_load_cleanup();
    qemu_fclose(mis->from_src_file);
    mis->from_src_file = NULL;
    return 0;
}
