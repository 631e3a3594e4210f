"""Frames, and what of them is not acknowledged yet."""

import json
import os
import struct
import time
from collections import deque

from machine import complain, nameless_file

READY, STDOUT, STDERR, OUTCOME, GAP, NOTE, BEGAN, RESULT = range(1, 9)
HEADER = struct.Struct(">B3xIQQ")
MOST_PAYLOAD = 65536  # of one frame of output
MOST_FRAMES = 65536
TOGETHER = 100_000  # microseconds of output that may be one frame


def encode(kind, offset, at, payload):
    return HEADER.pack(kind, len(payload), offset, at) + payload


def microseconds():
    return time.time_ns() // 1000


class Frame:
    __slots__ = ("kind", "offset", "time", "length", "payload")

    def __init__(self, kind, offset, at, payload):
        self.kind, self.offset, self.time, self.length, self.payload = kind, offset, at, len(payload), payload

    @property
    def end(self):
        return self.offset + self.length


class Spool:
    """Frames in order, the oldest forgotten past `limit` bytes; output past `memory` bytes lies in a file."""

    def __init__(self, memory, limit):
        self.memory, self.limit = memory, limit
        self.sent, self.unsent = deque(), deque()
        self.end = 0  # behind the last byte there ever was
        self.next = 0  # where whoever is attached has got to
        self.in_memory = 0
        self.file = None

    def empty(self):
        return not self.sent and not self.unsent

    def held(self):
        """How many bytes are not acknowledged."""
        frames = self.sent or self.unsent
        return self.end - frames[0].offset if frames else 0

    def crowded(self):
        return len(self.sent) + len(self.unsent) > MOST_FRAMES // 2

    def append(self, kind, payload):
        now = microseconds()
        output = kind in (STDOUT, STDERR)
        spill = output and self.in_memory + len(payload) > self.memory
        if spill:
            # What can't be stored leaves a hole, and the hole becomes a gap.
            if self._store(payload):
                frame = Frame(kind, self.end, now, payload)
                frame.payload = None
                self.unsent.append(frame)
        else:
            if not (output and self._lengthen(kind, payload, now)):
                self.unsent.append(Frame(kind, self.end, now, payload))
            self.in_memory += len(payload)
        self.end += len(payload)
        while self.held() > self.limit or len(self.sent) + len(self.unsent) > MOST_FRAMES:
            self._forget((self.sent or self.unsent).popleft())

    def take(self):
        """The next frame for whoever is attached, encoded; None where there is none."""
        if not self.unsent:
            return None
        frame = self.unsent[0]
        if frame.offset > self.next:
            missing = json.dumps({"bytes": frame.offset - self.next}).encode()
            at, self.next = self.next, frame.offset
            return encode(GAP, at, frame.time, missing)
        self.sent.append(self.unsent.popleft())
        payload = self._load(frame) if frame.payload is None else bytes(frame.payload)
        skip, self.next = self.next - frame.offset, frame.end
        return encode(frame.kind, frame.offset + skip, frame.time, payload[skip:])

    def ack(self, offset):
        while self.sent and self.sent[0].end <= offset:
            self._forget(self.sent.popleft())

    def resume(self, offset):
        """Somebody new has everything before the offset."""
        self.unsent.extendleft(reversed(self.sent))
        self.sent.clear()
        while self.unsent and self.unsent[0].end <= offset:
            self._forget(self.unsent.popleft())
        self.next = min(offset, self.end)

    def _lengthen(self, kind, payload, now):
        """Adds to the last frame, so that many small writes do not become as many frames."""
        last = self.unsent[-1] if self.unsent else None
        if last is None or last.kind != kind or last.payload is None or last.end != self.end:
            return False
        if last.length + len(payload) > MOST_PAYLOAD or now - last.time > TOGETHER:
            return False
        if not isinstance(last.payload, bytearray):
            last.payload = bytearray(last.payload)
        last.payload += payload
        last.length += len(payload)
        return True

    def _forget(self, frame):
        if frame.payload is not None:
            self.in_memory -= frame.length

    # The file is a ring: what is held spans at most `limit` bytes, so places never collide.

    def _store(self, payload):
        try:
            if self.file is None:
                self.file = nameless_file()
            at = self.end % self.limit
            head = payload[: self.limit - at]
            tail = payload[len(head) :]
            return os.pwrite(self.file, head, at) == len(head) and os.pwrite(self.file, tail, 0) == len(tail)
        except OSError as error:
            complain(f"cannot keep output in a file: {error}")
            return False

    def _load(self, frame):
        at = frame.offset % self.limit
        head = os.pread(self.file, min(frame.length, self.limit - at), at)
        return head + os.pread(self.file, frame.length - len(head), 0)
