#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The source of a postcopy that waits for a destination which does not read, and does not come back.

What it waits with is the thread that would read the return path. The destination (test_postcopy_source.py)
asks for all pages, reads none, and closes its direction of the connection, the other one staying open: no
write fails, and the source has to notice nevertheless.
"""

import socket
import struct
import time
import unittest

from test_postcopy_source import (BINARY, PAGE, PONG, REQ_PAGES_ID, SHUT, TIMEOUT,  # noqa: F401
                                  messages, migrate, tap)
import test_postcopy_source as source
from vmtools.qmp import QMPError                                # noqa: E402

HUNG_UP = 'the destination has ended the connection, with pages still to be sent'


class OneWay(source.Postcopy):
    """Over the main channel."""

    def channels(self, main):
        """Those that the source writes into."""
        return [main]

    def ask_for_all(self, main):
        main.send(REQ_PAGES_ID, struct.pack('>QI', 0, self.size * PAGE) + b'\3ram')

    def stuck(self):
        """In postcopy, and so many pages on their way that no socket holds them."""
        main = self.switch()
        channels = self.channels(main)
        main.wait('packaged')
        self.status('postcopy-active')
        self.loaded(main)
        for channel in channels:
            channel.reading.clear()
        self.ask_for_all(main)
        self.wait_stuck()
        return main

    def wait_stuck(self):
        """It takes the request, and what it sends comes to a stop."""
        end = time.monotonic() + TIMEOUT
        before, same = None, 0
        while same < 20:
            self.assertLess(time.monotonic(), end, 'the source goes on writing')
            ram = self.source.command('query-migrate')['ram']
            now = ram['postcopy-requests'], ram['postcopy-bytes'], ram['transferred']
            same = same + 1 if now == before and now[0] >= 2 else 0
            before = now
            time.sleep(0.005)
        self.assertLess(before[1], self.size * PAGE)

    def paused(self):
        info = self.status('postcopy-paused')
        self.stands()
        return info['error-desc']

    def test_hangs_up(self):
        main = self.stuck()
        main.sock.shutdown(socket.SHUT_WR)
        self.assertIn(HUNG_UP, self.paused())
        with self.assertRaisesRegex(QMPError, 'cannot cancel'):
            self.source.command('migrate_cancel')
        self.assertEqual(self.source.quit(), 0)

    def test_asks_and_hangs_up(self):
        """There is nothing to read behind the request when it is looked at."""
        main = self.switch()
        channels = self.channels(main)
        main.wait('packaged')
        self.status('postcopy-active')
        self.loaded(main)
        for channel in channels:
            channel.reading.clear()
        self.ask_for_all(main)
        main.sock.shutdown(socket.SHUT_WR)
        self.paused()

    def test_goes_on(self):
        """Once joined again, all that was asked for comes."""
        main = self.stuck()
        main.sock.shutdown(socket.SHUT_WR)
        self.paused()
        self.source.command('migrate', uri='unix:' + self.path, resume=True)
        again = self.accept()
        again.wait('recv-bitmap', 'ram')
        nothing = struct.pack('>Q', self.size // 8) + bytes(self.size // 8)
        here = set(range(self.size)) - self.discarded(main)
        bits = bytearray(nothing)
        for page in here:
            bits[8 + page // 8] |= 1 << page % 8
        again.sock.sendall(messages.reply(source.RECV_BITMAP, b'\3ram') + bits
                           + struct.pack('>Q', source.BITMAP_END))
        second = self.channels(again)
        again.wait('resume')
        again.send(source.RESUME_ACK, struct.pack('>I', 1))
        self.status('postcopy-active')
        self.speed_up()
        self.finish(again)
        came = self.check_pages(*dict.fromkeys([again, *second]))
        self.assertEqual(set(came), self.discarded(main))

    def discarded(self, main):
        return {start // PAGE + i for _, *pairs in [main.wait('discard').detail]
                for start, length in pairs for i in range(length // PAGE)}

    def stuck_before_loading(self):
        """Like QEMU's, which runs the guest before it has said that it loaded the devices."""
        self.kind = 'qemu'
        self.silent.add(3)
        main = self.switch()
        channels = self.channels(main)
        main.wait('ping', 4)
        for channel in channels:
            channel.reading.clear()
        self.ask_for_all(main)
        self.wait_requests(1)
        return main

    def test_last_words(self):
        """What was said behind the request, and before the end, is heard: the guest was loaded."""
        main = self.stuck_before_loading()
        main.send(PONG, struct.pack('>I', 3))
        main.sock.shutdown(socket.SHUT_WR)
        self.paused()
        with self.assertRaisesRegex(QMPError, 'cannot cancel'):
            self.source.command('migrate_cancel')

    def test_refused(self):
        """Or it was not, and never will be: then it is the source's."""
        main = self.stuck_before_loading()
        main.send(SHUT, struct.pack('>I', 1))
        main.sock.shutdown(socket.SHUT_WR)
        self.status('failed')
        self.runs()

    def wait_requests(self, number):
        end = time.monotonic() + TIMEOUT
        while self.source.command('query-migrate')['ram']['postcopy-requests'] < number:
            self.assertLess(time.monotonic(), end, 'the request is not counted')
            time.sleep(0.005)


class OneWayPreempt(OneWay):
    """Over the second one, which does not say that the first one ends."""

    capabilities = ('postcopy-preempt',)

    def channels(self, main):
        return [self.accept(messages.Pages())]


class OneWayWaiting(OneWay):
    """Behind the background, which has the main channel and is stuck."""

    def loaded(self, main):
        super().loaded(main)
        main.reading.clear()
        self.speed_up()


class LostAnswer(source.Postcopy):
    """All has arrived at the destination, and its word that it has is lost. The source does not know; it
    says so, runs nothing, and its user ends it."""

    TEXT = "only that it has arrived was not confirmed: if the destination's migration is 'completed'"

    def lose(self):
        main = self.postcopy()
        self.speed_up()
        main.wait('eof')
        main.close()                            # without SHUT
        return main

    def paused(self, first=''):
        info = self.status('postcopy-paused')
        self.assertIn(first, info['error-desc'])
        self.assertIn(self.TEXT, info['error-desc'])

    def test_ended(self):
        self.lose()
        self.paused('return path: ')
        for command, words in ((['migrate_cancel'], 'cannot cancel'),
                               (['cont'], 'Migration is not finalized yet'),
                               (['migrate-pause'], 'only supported during postcopy')):
            with self.assertRaisesRegex(QMPError, words):
                self.source.command(*command)
        self.stands()
        self.assertEqual(self.source.quit(), 0)

    def test_resumed(self):
        """Where there is no destination any more that could be resumed, whoever answers there."""
        self.lose()
        self.paused()
        self.source.command('migrate', uri='unix:' + self.path + '-nobody', resume=True)
        info = self.wait_error('Failed to connect')
        self.assertIn(self.TEXT, info['error-desc'])
        self.source.command('migrate', uri='unix:' + self.path, resume=True)
        self.accept().close()
        self.paused()
        self.stands()
        self.assertEqual(self.source.quit(), 0)

    def test_not_completed(self):
        """It was the end that was lost, too."""
        main = self.lose()
        self.paused()
        self.source.command('migrate', uri='unix:' + self.path, resume=True)
        again = self.accept()
        again.wait('recv-bitmap', 'ram')
        again.sock.sendall(messages.reply(source.RECV_BITMAP, b'\3ram')
                           + struct.pack('>Q', self.size // 8) + b'\xff' * (self.size // 8)
                           + struct.pack('>Q', source.BITMAP_END))
        again.wait('resume')
        again.send(source.RESUME_ACK, struct.pack('>I', 1))
        again.wait('eof')
        self.assertNotIn('error-desc', self.finish(again))
        self.check_pages(main)

    def test_not_all(self):
        """A page that was not sent is nothing that has arrived."""
        main = self.postcopy()
        main.close()
        self.assertNotIn('completed', self.status('postcopy-paused')['error-desc'])

    def wait_error(self, words):
        end = time.monotonic() + TIMEOUT
        while words not in (info := self.status('postcopy-paused')).get('error-desc', ''):
            self.assertLess(time.monotonic(), end, info)
            time.sleep(0.005)
        return info


if __name__ == '__main__':
    tap.main()
