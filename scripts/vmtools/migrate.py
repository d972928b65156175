# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving a machine: from the command on the source to a verdict about both sides."""

import time

FINAL = ('completed', 'failed', 'cancelled')


class MigrationFailed(Exception):
    """Says the status of either side and their reasons."""


def wait_status(machine, wanted=FINAL, timeout=120.0, every=0.02, progress=None):
    """Asks until the status is one of `wanted`; answers the last query-migrate."""
    deadline = time.monotonic() + timeout
    while True:
        info = machine.command('query-migrate')
        if progress is not None:
            progress(info)
        if info.get('status') in wanted:
            return info
        if info.get('status') in FINAL:
            raise MigrationFailed(f'{machine.name}: {info["status"]}: '
                                  f'{info.get("error-desc", "no reason given")}')
        if time.monotonic() > deadline:
            raise MigrationFailed(f'{machine.name}: still {info.get("status")} after '
                                  f'{timeout:.0f} s')
        time.sleep(every)


def set_up(machine, capabilities=(), parameters=None):
    for name in capabilities:
        machine.command('migrate-set-capabilities',
                        capabilities=[{'capability': name, 'state': True}])
    if parameters:
        machine.command('migrate-set-parameters', **parameters)


def listening_uri(destination):
    """The address that a destination listens on, as a URI for the source."""
    address = destination.command('query-migrate')['socket-address'][0]
    if address['type'] == 'unix':
        return 'unix:' + address['path']
    host = address['host']
    return f'tcp:[{host}]:{address["port"]}' if ':' in host else f'tcp:{host}:{address["port"]}'


def run(source, destination, uri, capabilities=(), parameters=None, timeout=120.0, every=0.02,
        progress=None, destination_capabilities=None):
    """Migrates and waits for both ends. Answers query-migrate of the source and of the
    destination."""
    set_up(source, capabilities, parameters)
    if destination is not None:
        set_up(destination, capabilities if destination_capabilities is None
               else destination_capabilities)
    source.command('migrate', uri=uri)
    info = wait_status(source, timeout=timeout, every=every, progress=progress)
    if info['status'] != 'completed':
        reason = info.get('error-desc', 'no reason given')
        if destination is not None and not destination.alive():
            reason += '; destination: ' + destination.stderr()
        raise MigrationFailed(f'{source.name}: {info["status"]}: {reason}')
    there = None
    if destination is not None:
        try:
            there = wait_status(destination, timeout=timeout, every=every)
        except Exception as e:
            raise MigrationFailed(f'{destination.name}: {e}: {destination.stderr()}') from e
        if there['status'] != 'completed':
            raise MigrationFailed(f'{destination.name}: {there["status"]}: '
                                  f'{there.get("error-desc", destination.stderr())}')
    return info, there
