"""The conversation with the service: commands on stdin, frames on stdout."""

import json
import os
import time
from collections import deque

from machine import complain, read
from spool import Spool

MOST_LINE = 64 << 20


class Service:
    def __init__(self, options):
        self.silence, self.window = options["silence"], options["window"]
        self.spool = Spool(options["window"], options["spool"])
        # Frames go where nothing else can write: no print of this process, and none of the user's.
        self.out = os.dup(1)
        os.dup2(2, 1)
        os.set_blocking(self.out, False)
        os.set_blocking(0, False)
        self.stdin = 0  # None at its end
        self.line = bytearray()
        self.heard = time.monotonic()
        self.urgent = deque()  # goes out before the spool, and only once
        self.outgoing = memoryview(b"")
        self.ready = False  # the first thing that it hears is READY

    def attached(self):
        return time.monotonic() - self.heard < self.silence

    def room(self):
        """Whether more of the user's output may be read."""
        return not self.attached() or (self.spool.held() < self.window and not self.spool.crowded())

    def settled(self):
        """Whether it has acknowledged all there is."""
        return self.spool.empty() and not self.outgoing

    def commands(self):
        """The (name, value) of every line that has come."""
        data = read(self.stdin)
        if data == b"":
            self.stdin = None
        if not data:
            return
        self.heard = time.monotonic()
        self.line += data
        if len(self.line) > MOST_LINE:
            self.line.clear()
            complain(f"a line on stdin is longer than {MOST_LINE} bytes")
        if b"\n" in data:
            *lines, rest = bytes(self.line).split(b"\n")
            self.line = bytearray(rest)
            for line in filter(None, lines):
                try:
                    ((name, value),) = json.loads(line).items()
                    yield name, value
                except (ValueError, AttributeError):  # half a line of somebody who is gone
                    complain(f"a line of {len(line)} bytes on stdin is not an object with one key")

    def resume(self, offset, marker):
        """Somebody new has everything before the offset; what it has of the frame under way is of no use to it."""
        self.outgoing = memoryview(b"")
        self.urgent = deque([marker.encode()])
        self.spool.resume(offset)

    def flush(self):
        """Writes what stdout takes."""
        while self.out is not None:
            if not self.outgoing:
                data = self.urgent.popleft() if self.urgent else self.spool.take() if self.ready else None
                if data is None:
                    return
                self.outgoing = memoryview(data)
            try:
                self.outgoing = self.outgoing[os.write(self.out, self.outgoing) :]
            except BlockingIOError:
                return
            except OSError as error:
                complain(f"stdout is gone: {error}")
                self.out = None
