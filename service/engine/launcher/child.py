"""The user's process, seen from the launcher."""

import json
import os
import struct

from machine import read
from user import become_user

REPORT = struct.Struct(">cI")
MOST_RESULT = 16 << 20
MOST_ERROR = 1 << 16


class Child:
    """A process that waits for its task: its pipes, and how it ended."""

    def __init__(self, sys_path, preload):
        self.task = b""
        self.function = False
        self.status = None
        self.inbox = bytearray()
        out, err, report, task = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become_user(sys_path, preload, out[1], err[1], report[1], task[0])
        for fd in (out[1], err[1], report[1], task[0]):
            os.close(fd)
        self.out, self.err, self.report, self.give_to = out[0], err[0], report[0], task[1]
        for fd in (self.out, self.err, self.report, self.give_to):
            os.set_blocking(fd, False)

    def give(self, task):
        self.task = memoryview(json.dumps(task).encode())
        self.function = "function" in task
        self.push()

    def push(self):
        """Writes what it can of the task; the end of the file is the end of the task."""
        try:
            while self.task:
                self.task = self.task[os.write(self.give_to, self.task) :]
        except BlockingIOError:
            return
        except OSError:
            self.task = b""  # it is dead, and how it died will be the outcome
        self.shut("give_to")

    def reports(self):
        """What the process says of itself, as (kind, message). It is the user's: anything else is left out."""
        while self.report is not None:
            data = read(self.report)
            if data is None:
                return
            if not data:
                self.shut("report")
            self.inbox += data
            while len(self.inbox) >= REPORT.size:
                kind, length = REPORT.unpack_from(self.inbox)
                if length > (MOST_RESULT if kind == b"r" else MOST_ERROR):
                    self.shut("report")
                    return
                if len(self.inbox) < REPORT.size + length:
                    break
                message = bytes(self.inbox[REPORT.size : REPORT.size + length])
                del self.inbox[: REPORT.size + length]
                yield from understood(kind, message)

    def shut(self, name):
        fd = getattr(self, name)
        if fd is not None:
            setattr(self, name, None)
            os.close(fd)

    def close(self):
        for name in ("out", "err", "report", "give_to"):
            self.shut(name)


def understood(kind, message):
    if kind == b"r":
        yield "result", message
        return
    try:
        value = json.loads(message)
        if kind == b"p":
            yield "preloaded", [str(note) for note in value]
        elif kind == b"e":
            yield "error", {name: str(value[name]) for name in ("code", "message", "hint")}
    except (ValueError, TypeError, KeyError):
        return
