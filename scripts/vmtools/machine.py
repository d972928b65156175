# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine processes: started with a monitor, watched, measured, and always ended.

Works alike with this project's emulator and with QEMU: it uses only the options and commands
which both have. The program connects to a monitor socket on which we listen, so there is no
moment at which one has to guess whether it is up.
"""

import fcntl
import os
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

from .qmp import QMP, QMPClosed

MICROVM = 'microvm,acpi=off,pic=off,pit=off,rtc=off'


def interface_version(binary):
    """The QEMU release whose interface a program has, as (major, minor)."""
    out = subprocess.run([binary, '--version'], capture_output=True, text=True, check=False).stdout
    found = re.search(r'version (\d+)\.(\d+)', out)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def for_older(source, destination):
    """Options that a newer program needs to send what an older one understands, where the
    machine type has no versions which would say it. Empty when both are alike; a program that
    is too old to know an option does not get it."""
    versions = sorted((interface_version(source), interface_version(destination)))
    if versions[0] >= (10, 0) or interface_version(source) < (10, 0):
        return []
    return ['-global', 'migration.send-switchover-start=off',
            '-global', 'migration.multifd-flush-after-each-section=on']


class MachineError(Exception):
    """The program did not start or ended by itself; says what it wrote to standard error."""


class SerialTap:
    """A FIFO that a machine's serial port writes to, read with a time for every byte."""

    def __init__(self, path):
        self.path = path
        self.data = bytearray()
        self.times = []                     # time.monotonic() of each byte
        self._changed = threading.Condition()
        self._quit = False
        self._fd = self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self):
        os.mkfifo(self.path)
        return os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def arguments(self):
        """What connects the machine's serial port to this."""
        return ['-serial', 'file:' + self.path]

    def _run(self):
        while not self._quit:
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            with self._changed:             # or settle() would not see what is read, and not here
                try:
                    chunk = os.read(self._fd, 65536)
                except BlockingIOError:
                    continue
                now = time.monotonic()
                self.data += chunk
                self.times += [now] * len(chunk)
                self._changed.notify_all()

    def text(self):
        with self._changed:
            return self.data.decode('latin-1')

    def wait(self, accepts, timeout, alive=lambda: True):
        """Waits until accepts(text so far); False when it did not come in time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not accepts(self.data.decode('latin-1')):
                left = deadline - time.monotonic()
                if left <= 0 or not alive():
                    return False
                self._changed.wait(min(left, 0.2))
        return True

    def settle(self):
        """Returns when all that was written has been read."""
        while select.select([self._fd], [], [], 0)[0]:
            time.sleep(0.001)
        with self._changed:
            pass

    def close(self):
        if not self._quit:
            self._quit = True
            self._thread.join()
            os.close(self._fd)


class SerialSocket(SerialTap):
    """The same over a socket, to which the machine connects: it can be written to as well."""

    def _open(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._peer = None
        return self._listener.fileno()

    def arguments(self):
        return ['-chardev', f'socket,id=serial0,path={self.path}', '-serial', 'chardev:serial0']

    def _run(self):
        while not self._quit and self._peer is None:
            if select.select([self._listener], [], [], 0.1)[0]:
                peer = self._listener.accept()[0]
                self._fd = peer.fileno()
                self._peer = peer
        while not self._quit:
            if not select.select([self._peer], [], [], 0.1)[0]:
                continue
            with self._changed:
                try:
                    chunk = self._peer.recv(65536)
                except ConnectionError:
                    chunk = b''
                now = time.monotonic()
                self.data += chunk
                self.times += [now] * len(chunk)
                self._changed.notify_all()
            if not chunk:
                return

    def send(self, data, timeout=10.0):
        """Writes, and waits until the machine's process has taken it all from the socket."""
        deadline = time.monotonic() + timeout
        self._peer.sendall(data)
        while struct.unpack('i', fcntl.ioctl(self._peer, termios.TIOCOUTQ, bytes(4)))[0]:
            if time.monotonic() > deadline:
                raise MachineError('the serial port takes no input')
            time.sleep(0.001)

    def settle(self):
        while self._thread.is_alive() and select.select([self._fd], [], [], 0)[0]:
            time.sleep(0.001)
        with self._changed:
            pass

    def close(self):
        if not self._quit:
            self._quit = True
            self._thread.join()
            for sock in (self._listener, self._peer):
                if sock is not None:
                    sock.close()


class Machine:
    """One process. Use as a context manager: on leaving, it is gone."""

    def __init__(self, binary, arguments, name='machine', directory=None, timeout=60.0,
                 serial=None, pass_fds=(), oob=False):
        self.name = name
        self.serial = serial
        self._own_directory = None
        if directory is None:
            self._own_directory = tempfile.TemporaryDirectory(prefix='godwit-')
            directory = self._own_directory.name
        self.directory = directory
        self.timeout = timeout
        self.qmp = None
        self.rusage = None
        self._stderr = open(os.path.join(directory, name + '.stderr'), 'w+b')
        path = os.path.join(directory, name + '.qmp')
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(1)
        self.argv = [binary, '-nodefaults', '-display', 'none',
                     '-chardev', f'socket,id=qmp0,path={path}', '-mon', 'chardev=qmp0,mode=control']
        if serial is not None:
            self.argv += serial.arguments()
        self.argv += list(arguments)
        try:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                            stdout=self._stderr, stderr=self._stderr,
                                            pass_fds=pass_fds)
        except OSError as e:
            listener.close()
            self._stderr.close()
            raise MachineError(f'{binary}: {e.strerror}') from e
        try:
            self.qmp = QMP(self._accept(listener, timeout), timeout, oob)
        except QMPClosed as e:
            try:
                status = self.process.wait(5)
            except subprocess.TimeoutExpired:
                status = 'none yet'
            self.kill()
            raise MachineError(f'{name}: {e}; status {status}: {self.stderr()}') from e
        except BaseException:
            self.kill()
            raise
        finally:
            listener.close()

    def _accept(self, listener, timeout):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([listener], [], [], 0.05)[0]:
                return listener.accept()[0]
            if self.process.poll() is not None:
                raise MachineError(f'{self.name} ended with status {self.process.returncode} '
                                   f'before its monitor came up: {self.stderr()}')
        raise MachineError(f'{self.name}: no monitor within {timeout:.0f} s: {self.stderr()}')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()

    def alive(self):
        return self.process.returncode is None and self.process.poll() is None

    def stderr(self):
        """What it wrote, without the warnings about CPU features that this host lacks."""
        self._stderr.flush()
        with open(self._stderr.name, 'rb') as f:
            lines = f.read().decode('utf-8', 'replace').splitlines()
        return '\n'.join(x for x in lines if "host doesn't support requested feature" not in x)

    def command(self, name, /, **arguments):
        return self.qmp.command(name, **arguments)

    def cpu_seconds(self):
        """User and system time so far, of all threads."""
        with open(f'/proc/{self.process.pid}/stat', encoding='ascii') as f:
            fields = f.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def memory(self):
        """Peak resident size, and what of it is memory shared with files, in bytes."""
        values = {}
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            for line in f:
                key, _, rest = line.partition(':')
                if key in ('VmHWM', 'VmRSS', 'RssAnon', 'RssFile', 'RssShmem'):
                    values[key] = int(rest.split()[0]) * 1024
        return values

    def quit(self, timeout=30.0):
        """Ends it politely and answers its exit status."""
        if self.alive():
            try:
                self.qmp.command('quit', timeout=timeout)
            except Exception:               # it may be gone before it answers
                pass
        return self.wait(timeout)

    def wait(self, timeout=30.0):
        """Waits for the end; answers the status, keeping what it used in `rusage`."""
        deadline = time.monotonic() + timeout
        while self.process.returncode is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.rusage = usage
            elif time.monotonic() > deadline:
                self.kill()
                raise MachineError(f'{self.name} does not end: {self.stderr()}')
            else:
                time.sleep(0.002)
        return self.process.returncode

    def kill(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self):
        """Whatever state it is in: afterwards there is no process and no open file."""
        try:
            if self.process.returncode is None and self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.kill()
        finally:
            if self.qmp is not None:
                self.qmp.close()
            self._stderr.close()
            if self._own_directory is not None:
                self._own_directory.cleanup()

    def save_memory(self, address, size, path):
        """Writes guest-physical memory to a file."""
        self.qmp.command('pmemsave', val=address, size=size, filename=path, timeout=300)

    def read_memory(self, address, size):
        path = os.path.join(self.directory, self.name + '.pmem')
        self.save_memory(address, size, path)
        try:
            with open(path, 'rb') as f:
                data = f.read()
        finally:
            os.unlink(path)
        if len(data) != size:
            raise MachineError(f'{self.name}: pmemsave wrote {len(data)} of {size} bytes')
        return data
