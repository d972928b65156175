#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job, shown: boots the test guest, moves it live, and proves that nothing was lost.

Started by scripts/demo, which builds first. Either side may be any program with QEMU's command
line and QMP, qemu-system-x86_64 among them.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest')]

import check                                                    # noqa: E402
from vmtools import migrate                                     # noqa: E402
from vmtools.machine import (MICROVM, Machine, MachineError, SerialTap,   # noqa: E402
                             for_older)
from vmtools.qmp import QMPClosed, QMPError, QMPTimeout         # noqa: E402

PAGE = 4096
MIB = 1 << 20
GUEST_START = 2 * MIB
TICK_US = 1000
# Where a microvm's memory below 4 GiB ends, with room to spare: the guest lives below it.
LOW_MEMORY = 2816 * MIB


def size(text):
    """512M, 2G, 1.5G; without a letter MiB as with -m."""
    units = {'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30, 't': 1 << 40}
    number, unit = (text[:-1], units[text[-1].lower()]) if text[-1:].lower() in units \
        else (text, 1 << 20)
    try:
        value = int(float(number) * unit)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text!r} is no size; say 512M or 2G')
    return value


def rate(text):
    return None if text == 'max' else size(text)


def parse(argv):
    p = argparse.ArgumentParser(
        prog='scripts/demo', description='Moves a running guest from one process to another and '
        'verifies it.', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('--memory', type=size, default='1G', help='memory of the guest')
    p.add_argument('--dirty-rate', type=rate, default='64M', metavar='BYTES/S',
                   help='how much the guest writes in a second, "max" for all it can')
    p.add_argument('--hot', type=size, default='64M',
                   help='how much memory the guest writes again and again')
    p.add_argument('--fill', choices=('zero', 'random', 'text'), default='random',
                   help='what the rest of its memory holds')
    p.add_argument('--accel', choices=('auto', 'kvm', 'tcg'), default='auto')
    p.add_argument('--ring', choices=('0', '3'), default='3', help='privilege level of the guest')
    p.add_argument('--bits', choices=('auto', '32', '64'), default='auto',
                   help='mode of the guest; auto: 64 under KVM, 32 under TCG')
    p.add_argument('--vcpus', type=int, default=1)
    p.add_argument('--transport', choices=('tcp', 'unix'), default='tcp')
    p.add_argument('--bandwidth', type=size, default='512M', metavar='BYTES/S',
                   help='most that may be sent in a second, 0 for no limit')
    p.add_argument('--downtime-limit', type=int, default=300, metavar='MS')
    p.add_argument('--multifd', type=int, default=0, metavar='CHANNELS',
                   help='send pages over so many more channels')
    p.add_argument('--capability', action='append', default=[], metavar='NAME',
                   help='a migration capability to switch on, on both sides; may be repeated')
    p.add_argument('--parameter', action='append', default=[], metavar='NAME=VALUE',
                   help='a migration parameter to set, on both sides; may be repeated')
    p.add_argument('--warm-up', type=float, default=0.5, metavar='SECONDS',
                   help='how long the guest works before it moves')
    p.add_argument('--timeout', type=float, default=120, metavar='SECONDS')
    p.add_argument('--src-binary', default=None,
                   help='the program it moves from (default: the built one)')
    p.add_argument('--dst-binary', default=None,
                   help='the program it moves to (default: the built one)')
    p.add_argument('--build-dir', default=os.path.join(TOP, 'build'), help=argparse.SUPPRESS)
    p.add_argument('--no-build', action='store_true', help='take what is built already')
    p.add_argument('--json', action='store_true', help='print the result as JSON, no progress')
    p.add_argument('--keep', metavar='DIR', help='keep serial output, messages and result there')
    options = p.parse_args(argv)
    if options.memory < 8 * MIB:
        p.error('--memory: the guest needs 8M or more')
    if not 1 <= options.vcpus <= 32:
        p.error('--vcpus: 1 to 32')
    if options.dirty_rate is not None and options.dirty_rate < PAGE * 100 * options.vcpus:
        p.error('--dirty-rate: at least 400K a vCPU, or "max"')
    return options


def usable_accelerator(wanted):
    if wanted != 'auto':
        return wanted
    return 'kvm' if os.access('/dev/kvm', os.R_OK | os.W_OK) else 'tcg'


def host_tsc_khz():
    """For guests that can't ask KVM: the clock rate of the CPU that runs us."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            for line in f:
                if line.startswith('cpu MHz'):
                    return int(float(line.split(':')[1]) * 1000)
    except (OSError, ValueError):
        pass
    return 0


def human(number, unit='B'):
    for prefix in ('', 'Ki', 'Mi', 'Gi'):
        if abs(number) < 1024 or prefix == 'Gi':
            return f'{number:.0f} {prefix}{unit}' if prefix == '' else \
                f'{number:.1f} {prefix}{unit}'
        number /= 1024
    return ''


class Progress:
    """A bar on a terminal, now and then a line elsewhere."""

    def __init__(self, out, quiet):
        self.out = out
        self.quiet = quiet
        self.live = out.isatty() and not quiet
        self.last = -1.0
        self.shown = 0
        self.percent = 0.0
        self.peak = {}

    def __call__(self, info):
        ram = info.get('ram')
        if not ram:
            return
        total, remaining = ram['total'] or 1, ram['remaining']
        passes = ram.get('dirty-sync-count', 0)
        # The first pass sends everything once. Later ones only shrink what is left of the end.
        self.percent = max(self.percent, min(99.9, 100.0 * (1 - remaining / total)))
        if info['status'] == 'completed':
            self.percent = 100.0
        dirty = ram.get('dirty-pages-rate', 0) * ram.get('page-size', PAGE)
        self.peak['dirty'] = max(self.peak.get('dirty', 0), dirty)
        if self.quiet:
            return
        words = (f'{self.percent:5.1f} %  {human(ram.get("mbps", 0) * 1e6 / 8)}/s  '
                 f'dirty {human(dirty)}/s  left {human(remaining)}  pass {passes}')
        if self.live:
            wide = max(10, min(40, shutil.get_terminal_size().columns - len(words) - 6))
            full = int(wide * self.percent / 100)
            bar = '█' * full + '░' * (wide - full)
            self.out.write(f'\r\033[K {bar} {words}')
            self.out.flush()
        elif self.percent >= self.shown + 10 or info['status'] in migrate.FINAL:
            self.shown = self.percent // 10 * 10
            self.out.write(f' {words}\n')
            self.out.flush()

    def end(self):
        if self.live:
            self.out.write('\n')


class Demo:
    def __init__(self, options):
        self.o = options
        built = os.path.join(options.build_dir, 'godwit-system-x86_64')
        self.binaries = (options.src_binary or built, options.dst_binary or built)
        self.accel = usable_accelerator(options.accel)
        bits = options.bits
        if bits == 'auto':
            bits = '64' if self.accel == 'kvm' else '32'
        self.kernel = os.path.join(options.build_dir, 'tests', 'guest', f'dirty{bits}.elf')
        usable = min(options.memory, LOW_MEMORY) - GUEST_START - 2 * MIB
        hot = max(min(options.hot, usable), PAGE * options.vcpus)
        words = [f'start={GUEST_START:#x}', f'size={usable:#x}', f'hot={hot:#x}',
                 f'fill={options.fill}', f'vcpus={options.vcpus}', f'ring={options.ring}',
                 f'tick={TICK_US}', 'words=8']
        if options.dirty_rate is not None:
            words.append(f'rate={max(options.dirty_rate // PAGE // options.vcpus, 100)}')
            # A letter a round, so that short moves show some, but not more than a few a second.
            words.append(f'every={max(1, round(options.dirty_rate / hot / 20))}')
        else:
            words.append('every=16')
        if self.accel == 'tcg' and host_tsc_khz():
            words.append(f'tsc_khz={host_tsc_khz()}')
        self.append = ' '.join(words)

    def say(self, text=''):
        if not self.o.json:
            print(text, flush=True)

    def machine(self, binary, name, directory, serial, *more):
        return Machine(binary, ['-machine', MICROVM, '-accel', self.accel,
                                '-m', f'{self.o.memory // MIB}M', '-smp', str(self.o.vcpus),
                                '-kernel', self.kernel, '-append', self.append, *more],
                       name, directory, serial=serial)

    def run(self, directory):
        taps = [SerialTap(os.path.join(directory, side + '.serial'))
                for side in ('source', 'destination')]
        self.taps = taps
        where = 'tcp:127.0.0.1:0' if self.o.transport == 'tcp' \
            else 'unix:' + os.path.join(directory, 'migration.socket')
        self.say(f'Starting a guest with {human(self.o.memory)} under {self.accel}: '
                 f'{os.path.basename(self.binaries[0])}')
        compatible = for_older(*self.binaries)
        with self.machine(self.binaries[0], 'source', directory, taps[0],
                          *compatible) as source:
            self.wait_running(source)
            self.say(f'It runs and counts: {check.letters(taps[0].text())[-20:]!r}')
            self.say(f'Starting a destination on {where}: {os.path.basename(self.binaries[1])}')
            with self.machine(self.binaries[1], 'destination', directory, taps[1],
                              '-incoming', where) as destination:
                time.sleep(self.o.warm_up)
                return self.move(source, destination)

    def wait_running(self, source):
        def started(text):
            return text.startswith('E') or any(c.islower() for c in text)
        if not source.serial.wait(started, self.o.timeout, source.alive):
            raise MachineError(f'the guest printed {source.serial.text()!r} and no more. '
                               + source.stderr())
        if 'E' in source.serial.text():
            raise MachineError('the guest says: ' + source.serial.text().strip())

    def move(self, source, destination):
        capabilities = list(self.o.capability)
        parameters = {'downtime-limit': self.o.downtime_limit,
                      'max-bandwidth': self.o.bandwidth or 1 << 40}
        both = {}
        for text in self.o.parameter:
            name, _, value = text.partition('=')
            both[name] = ({'on': True, 'off': False}.get(value, value) if not value.isdigit()
                          else int(value))
        if self.o.multifd:
            capabilities.append('multifd')
            both['multifd-channels'] = self.o.multifd
        for side in (source, destination):
            migrate.set_up(side, capabilities, both)
        progress = Progress(sys.stdout, self.o.json)
        before = [m.cpu_seconds() for m in (source, destination)]
        self.say('Moving it')
        info, _ = migrate.run(source, destination, migrate.listening_uri(destination),
                              capabilities, parameters, self.o.timeout, progress=progress)
        progress.end()
        cpu = [m.cpu_seconds() - b for m, b in zip((source, destination), before)]
        memory = [m.memory().get('VmHWM', 0) for m in (source, destination)]
        self.say('Letting it run on and looking at its memory')
        source.serial.settle()
        moved = len(check.letters(source.serial.text()))
        if not destination.serial.wait(
                lambda t: 'E' in t or len(check.letters(t)) > 1, self.o.timeout,
                destination.alive):
            raise MachineError('the guest does not run on the destination. '
                               + destination.stderr())
        destination.command('stop')
        destination.serial.settle()
        report = check.check_memory(destination.read_memory)
        letters = check.check_serial(source.serial.text() + destination.serial.text(), moved)
        return self.result(info, cpu, memory, report, letters, moved)

    def result(self, info, cpu, memory, report, letters, moved):
        ram = info['ram']
        silent = (self.taps[1].times[0] - self.taps[0].times[-1]) * 1000
        return {
            'total-ms': info['total-time'],
            'setup-ms': info.get('setup-time'),
            'downtime-ms': info['downtime'],
            'downtime-limit-ms': self.o.downtime_limit,
            'guest-silent-ms': round(silent, 1),
            'guest-tick-ms': TICK_US / 1000,
            'transferred-bytes': ram['transferred'],
            'ram-bytes': ram['total'],
            'normal-pages': ram['normal'],
            'zero-pages': ram['duplicate'],
            'passes': ram['dirty-sync-count'],
            'bytes-per-second': ram.get('mbps', 0) * 1e6 / 8,
            'cpu-seconds': {'source': round(cpu[0], 2), 'destination': round(cpu[1], 2)},
            'peak-memory': {'source': memory[0], 'destination': memory[1]},
            'pages-verified': report.pages,
            'torn-pages': report.torn,
            'rounds': report.rounds,
            'letters': letters,
            'letters-before': moved - 1,
            'tsc-backwards': sum(v.tsc_backwards for v in report.control.vcpus),
        }

    def show(self, r):
        rows = [
            ('total time', f'{r["total-ms"]} ms'),
            ('downtime, as the program says', f'{r["downtime-ms"]} ms (limit '
                                              f'{r["downtime-limit-ms"]} ms)'),
            ('downtime, as the guest\'s serial output shows',
             f'{r["guest-silent-ms"]} ms (it prints every {r["guest-tick-ms"]:.0f} ms)'),
            ('transferred', f'{human(r["transferred-bytes"])} of {human(r["ram-bytes"])} memory, '
                            f'{human(r["bytes-per-second"])}/s'),
            ('pages', f'{r["normal-pages"]} sent, {r["zero-pages"]} zero'),
            ('passes', f'{r["passes"]}'),
            ('CPU time', f'{r["cpu-seconds"]["source"]:.2f} s source, '
                         f'{r["cpu-seconds"]["destination"]:.2f} s destination'),
            ('peak memory', f'{human(r["peak-memory"]["source"])} source, '
                            f'{human(r["peak-memory"]["destination"])} destination'),
            ('verified', f'{r["pages-verified"]} pages, each as the guest left it'
             + (f'; {r["torn-pages"]} in the middle of being written' if r['torn-pages'] else '')),
            ('the guest kept counting', f'letter {r["letters-before"]} to {r["letters"]} without '
                                        f'a gap, round {", ".join(map(str, r["rounds"]))}'),
        ]
        if r['tsc-backwards']:
            rows.append(('time stamp counter', 'went back'))
        wide = max(len(name) for name, _ in rows)
        self.say()
        for name, value in rows:
            self.say(f'  {name:{wide}}  {value}')
        self.say()
        self.say('No write was lost.')


def keep(directory, target, demo, result):
    os.makedirs(target, exist_ok=True)
    for side, tap in zip(('source', 'destination'), getattr(demo, 'taps', ())):
        with open(os.path.join(target, side + '.serial'), 'w', encoding='latin-1') as f:
            f.write(tap.text())
        stderr = os.path.join(directory, side + '.stderr')
        if os.path.exists(stderr):
            shutil.copy(stderr, target)
    if result is not None:
        with open(os.path.join(target, 'result.json'), 'w', encoding='utf-8') as f:
            json.dump(result, f, indent=2)


def main():
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(options)
    for binary in demo.binaries:
        if shutil.which(binary) is None:
            sys.exit(f'demo: {binary}: no such program')
    if not os.path.exists(demo.kernel):
        sys.exit(f'demo: {demo.kernel} is not built: ninja -C {options.build_dir}')
    result = None
    status = 0
    with tempfile.TemporaryDirectory(prefix='godwit-demo-') as directory:
        try:
            result = demo.run(directory)
            if options.json:
                print(json.dumps(result, indent=2))
            else:
                demo.show(result)
        except (MachineError, migrate.MigrationFailed, check.GuestError, QMPError, QMPClosed,
                QMPTimeout) as e:
            print(f'\ndemo: {type(e).__name__}: {e}', file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            status = 130
        finally:
            if options.keep:
                keep(directory, options.keep, demo, result)
            for tap in getattr(demo, 'taps', ()):
                tap.close()
    sys.exit(status)


if __name__ == '__main__':
    main()
