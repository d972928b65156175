# SPDX-License-Identifier: GPL-2.0-or-later
"""What delays.c does to the emulator, to the tests' own threads: Python loads this by itself when it is on
PYTHONPATH. DELAYS_PYTHON is the probability of a wait behind a message."""

import os
import random
import socket
import threading
import time

PROBABILITY = float(os.environ.get('DELAYS_PYTHON', 0))
_random = random.Random()


def maybe_wait(weight=1):
    if _random.random() < PROBABILITY * weight:
        time.sleep(_random.random() * (0.15 if _random.random() < 0.05 else 0.03))


class _Socket(socket.socket):
    def recv(self, *arguments):
        data = super().recv(*arguments)
        maybe_wait()
        return data

    def sendall(self, *arguments):
        maybe_wait()
        super().sendall(*arguments)
        maybe_wait()


def _run_late(self, run=threading.Thread.run):
    maybe_wait(10)
    run(self)


if PROBABILITY:
    socket.socket = _Socket
    threading.Thread.run = _run_late
