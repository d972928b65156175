#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a request is answered as the real QEMU answers it: same class, same text.

Both programs get the same bytes; after each case a sentinel request, so that one knows when all
replies are there, even those to half a message.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'),
                os.path.join(HERE, '..', 'monitor')]

from machine_process import MachineTest, main                   # noqa: E402
from vmtools import programs                                    # noqa: E402

# Before the negotiation, after it, and after one with out-of-band execution.
EARLY = '''
{"execute":"query-status"}
{"execute":"nope"}
{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}
{"execute":"qmp_capabilities","arguments":{"enable":"oob"}}
{"execute":"qmp_capabilities","arguments":{"x":1}}
{"exec-oob":"query-yank"}
{"execute":"qmp_capabilities","id":7}
[]
{
'''
FORM = '''
[]
1
"x"
null
true
{}
{"execute":1}
{"execute":"query-status","x":1}
{"arguments":{}}
{"execute":"query-status","arguments":[]}
{"execute":"query-status","arguments":{"a":1}}
{"execute":"query-status","id":{"a":[1,null]}}
{"execute":"query-status","id":null}
{"execute":"nope","id":3}
{"execute":"qmp_capabilities"}
{"exec-oob":"query-yank"}
{"exec-oob":"query-yank","execute":"query-yank"}
{'execute':'query-status'}
{"execute":"query-status"
{"execute":"query-status","id":1,"id":2}
{"execute":"stop","arguments":{"a":{"b":1,"b":2}}}
{"execute":"\\ud800"}
{"execute":"\\udc00 or so"}
}
]
@
'''
OUT_OF_BAND = '''
{"exec-oob":"query-status"}
{"exec-oob":"nope"}
{"exec-oob":"migrate-pause"}
{"exec-oob":"migrate-recover","arguments":{"uri":"x"}}
{"exec-oob":"query-yank","execute":"query-yank"}
{"exec-oob":1}
{"exec-oob":"query-name","x":1}
{"exec-oob":"yank","arguments":{"instances":[]}}
'''
ARGUMENTS = '''
stop {"a":{}}
migrate {"uri":5}
migrate-set-capabilities {"capabilities":[{"capability":"nix","state":true}]}
migrate-set-capabilities {"capabilities":[{"capability":"xbzrle"}]}
migrate-set-capabilities {"capabilities":[{"capability":"xbzrle","state":1}]}
migrate-set-capabilities {"capabilities":{}}
migrate-recover {"uri":"x"}
migrate-pause
qom-get {"path":"/nope","property":"x"}
qom-get {"path":"/machine","property":"x"}
qom-list {"path":"/nope"}
qom-set {"path":"/machine","property":"type","value":1}
qom-list-properties {"typename":"nope"}
device-list-properties {"typename":"nope"}
device-list-properties {"typename":"container"}
device-list-properties {"typename":"device"}
object-add {"qom-type":"nope","id":"a"}
object-add {"qom-type":"memory-backend-ram","id":"a"}
object-add {"qom-type":"memory-backend-ram","id":"1a","size":4096}
object-add {"qom-type":"memory-backend-ram","id":"a","size":4096,"x":1}
object-del {"id":"a"}
device_add {}
device_add {"driver":"nope"}
device_add {"driver":"device"}
device_add {"driver":"container"}
device_add {"driver":"kvmclock"}
device_add {"driver":"isa-debug-exit"}
device_add {"driver":"isa-debug-exit","bus":"nope"}
device_add {"driver":"isa-debug-exit","bus":"main-system-bus"}
device_del
device_del {"id":"x"}
device_del {"id":"/machine"}
device_del {"id":"/nope"}
getfd {"fdname":"a"}
getfd {"fdname":"1a"}
closefd {"fdname":"a"}
add-fd
add-fd {"fdset-id":-1}
remove-fd {"fdset-id":1}
remove-fd {"fdset-id":1,"fd":2}
yank {"instances":[{"type":"chardev","id":"x"}]}
yank {"instances":[{"type":"x","id":"x"}]}
yank {"instances":[]}
chardev-add {"id":"a","backend":{"type":"nope","data":{}}}
chardev-add {"id":"a","backend":{"type":"null"}}
chardev-add {"id":"1a","backend":{"type":"null","data":{}}}
chardev-remove {"id":"a"}
chardev-remove {"id":"compat_monitor0"}
human-monitor-command {"command-line":"nope"}
human-monitor-command {"command-line":"info nope"}
human-monitor-command {"command-line":""}
human-monitor-command {"command-line":"info status","cpu-index":5}
trace-event-get-state {"name":"nope"}
set-action {"reboot":"x"}
query-command-line-options {"option":"nope"}
client_migrate_info {"protocol":"spice","hostname":"h"}
client_migrate_info {"protocol":"vnc","hostname":"h"}
announce-self
announce-self {"initial":50,"max":550,"rounds":5,"step":50}
inject-nmi
query-hotpluggable-cpus
query-current-machine
query-acpi-ospm-status
query-memory-devices
query-rx-filter {"name":"n"}
query-balloon
query-display-options
query-replay
query-jobs
query-pci
query-mice
query-tpm
memsave {"val":0,"size":1,"filename":"/nonexistent/x"}
pmemsave {"val":0,"size":1,"filename":"/nonexistent/x"}
system_wakeup
'''
SENTINEL = b'\xff{"execute":"query-name","id":"sentinel"}\n'


def lines(text):
    return text.strip('\n').split('\n')


class SameErrors(MachineTest):
    """The newer QEMU is the measure."""

    def setUp(self):
        super().setUp()
        reason = programs.why_missing(programs.GODWIT, programs.NEWER)
        if reason:
            self.skipTest(reason)
        self.sockets = {}
        for number, role in enumerate((programs.GODWIT, programs.NEWER)):
            self.sockets[role] = self.path(f'qmp{number}')
            self.start('-M', 'none', '-display', 'none', '-S', '-qmp',
                       f'unix:{self.sockets[role]},server=on,wait=off', plain=False,
                       binary=programs.find(role))

    def answers(self, role, request, early, oob):
        client = self.new_client(self.sockets[role], oob, not early)
        client.send(request.encode() + b'\n')
        client.send(SENTINEL)
        messages = []
        while not messages or messages[-1].get('id') != 'sentinel':
            messages.append(client.message())
        client.close()
        # The sentinel's own reply, and that to the byte which ends half a message
        return messages[:-2] if 'JSON parse error' in str(messages[-2:-1]) else messages[:-1]

    def compare(self, requests, early=False, oob=False):
        for request in requests:
            with self.subTest(request=request):
                ours, theirs = (self.answers(role, request, early, oob)
                                for role in (programs.GODWIT, programs.NEWER))
                self.assertEqual(ours, theirs)

    def test_before_the_negotiation(self):
        self.compare(lines(EARLY), early=True)

    def test_form(self):
        self.compare(lines(FORM))

    def test_out_of_band(self):
        self.compare(lines(OUT_OF_BAND), oob=True)

    def test_arguments(self):
        requests = []
        for line in lines(ARGUMENTS):
            name, _, arguments = line.partition(' ')
            request = {'execute': name}
            if arguments:
                request['arguments'] = json.loads(arguments)
            requests.append(json.dumps(request))
        self.compare(requests)


if __name__ == '__main__':
    main()
