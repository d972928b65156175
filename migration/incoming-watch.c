/*
 * Waiting for the first data of an incoming channel; see incoming-watch.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "incoming-watch.h"

static void stop_watch(gpointer opaque)
{
    GSource *source = opaque;

    g_source_destroy(source);
    g_source_unref(source);
}

static gboolean data_arrived(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    /* The watch holds the channel; stopping it would let go of it too early. */
    object_ref(OBJECT(ioc));
    migration_channel_stop_listening();
    migration_channel_process_incoming(ioc);
    object_unref(OBJECT(ioc));
    return G_SOURCE_REMOVE;
}

void migration_incoming_watch(QIOChannel *ioc)
{
    GSource *source = qio_channel_add_watch_source(ioc, G_IO_IN, data_arrived, NULL, NULL, NULL);

    migration_channel_set_listener(source, stop_watch);
}
