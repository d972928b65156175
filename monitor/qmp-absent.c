/*
 * QMP commands about parts that no machine here has: jobs, PCI, network cards, TPMs, mice,
 * displays, balloons, replay. Clients ask for them whatever the machine, and the true answer is
 * that there are none. Who builds one of these parts takes its command out of here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-job.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-net.h"
#include "qapi/qapi-commands-pci.h"
#include "qapi/qapi-commands-replay.h"
#include "qapi/qapi-commands-tpm.h"
#include "qapi/qapi-commands-ui.h"

JobInfoList *qmp_query_jobs(Error **errp)
{
    return NULL;
}

PciInfoList *qmp_query_pci(Error **errp)
{
    return NULL;
}

MemoryDeviceInfoList *qmp_query_memory_devices(Error **errp)
{
    return NULL;
}

BalloonInfo *qmp_query_balloon(Error **errp)
{
    error_set(errp, ERROR_CLASS_DEVICE_NOT_ACTIVE, "No balloon device has been activated");
    return NULL;
}

ReplayInfo *qmp_query_replay(Error **errp)
{
    ReplayInfo *info = g_new0(ReplayInfo, 1);

    info->mode = REPLAY_MODE_NONE;
    return info;
}

/* ---- network ---- */

/* A command rather than a mistake: whoever moves a guest calls it without looking for cards. */
void qmp_announce_self(AnnounceParameters *params, Error **errp)
{
}

RxFilterInfoList *qmp_query_rx_filter(const char *name, Error **errp)
{
    if (name) {
        error_setg(errp, "invalid net client name: %s", name);
    }
    return NULL;
}

/* ---- trusted platform modules ---- */

TpmModelList *qmp_query_tpm_models(Error **errp)
{
    return NULL;
}

TpmTypeList *qmp_query_tpm_types(Error **errp)
{
    return NULL;
}

TPMInfoList *qmp_query_tpm(Error **errp)
{
    return NULL;
}

/* ---- displays and input ---- */

MouseInfoList *qmp_query_mice(Error **errp)
{
    return NULL;
}

DisplayOptions *qmp_query_display_options(Error **errp)
{
    DisplayOptions *options = g_new0(DisplayOptions, 1);

    options->type = DISPLAY_TYPE_NONE;
    return options;
}

void qmp_client_migrate_info(const char *protocol, const char *hostname, bool has_port,
                             int64_t port, bool has_tls_port, int64_t tls_port,
                             const char *cert_subject, Error **errp)
{
    if (g_str_equal(protocol, "spice")) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_ACTIVE, "SPICE is not in use");
    } else {
        error_setg(errp, "Parameter 'protocol' expects 'spice'");
    }
}
