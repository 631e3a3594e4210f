"""Runs one task in a container, as its first process: standard library, Python 3.8 to 3.14, `python -I -u launcher OPTIONS`.

It forks the user's process at once, which imports the modules to preload and waits; then it says READY. A line on stdin
gives the task, and the waiting process becomes it (`exec`, or a call of a function): a start costs two wake-ups. This
process itself never imports user code.

stdin: one JSON object a line, with one key.
    {"task": {"argv": [...] | "command": "..." | "function": "module:name", "args": [...] | {...},
              "env": {...}, "secrets": {...}, "cwd": "...", "sysPath": {"first": [...], "behind": [...]}, "timeout": seconds | null}}
    {"ack": N}                    everything before offset N is safe and may be forgotten
    {"cancel": {"grace": S}}      SIGTERM to the user's process group, SIGKILL to all after S seconds
    {"resume": {"offset": N, "marker": "hex"}}   somebody new is attached and has everything before offset N
    {"ping": true}                somebody is there: whoever is attached says something every few seconds

stdout: frames of a 24-byte header (kind, three zeros, payload length as 32 bits, offset as 64 bits, time in microseconds
since 1970 as 64 bits; big endian) and the payload. Offsets count the payload bytes of all frames but READY; a GAP stands
for as many as it says. What is not acknowledged is kept. While somebody is attached, the user's process is slowed when
`window` bytes are under way; while nobody is, the last `spool` bytes are kept. Docker cuts off what is printed while
nobody is attached, anywhere, so after `resume` the frames begin anew behind the marker.

stderr: what goes wrong in here. Its end: when the outcome is acknowledged, or nobody was attached for `unattached` seconds.
"""

import json
import os
import select
import signal
import sys
import time

from child import Child
from machine import complain, ensure_home, kill_all, oom_kills, read, set_dumpable
from outcome import NO_RESULT, outcome, said
from service import Service
from spool import BEGAN, NOTE, OUTCOME, READY, RESULT, STDERR, STDOUT, encode, microseconds

DRAIN = 1.0  # seconds in which what the user's process left behind may finish its output
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
NEVER = float("inf")


class Launcher:
    def __init__(self, options):
        self.options = options
        self.service = Service(options)
        self.spool = self.service.spool
        self.state = "preloading"  # then waiting, running, ended
        self.terminated = False
        self.reason = None  # why the user's process was told to end
        self.preload_at = self.timeout_at = self.kill_at = self.drain_at = self.close_at = NEVER
        self.started = 0
        self.ooms = oom_kills()
        self.result = self.error = None
        self.wakeup, wake = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_sigterm)
        self.child = None
        self.fork(options["preload"])

    def on_sigterm(self, *_):
        self.terminated = True

    def fork(self, preload):
        set_dumpable(True)
        self.child = Child(self.options["sysPath"], preload)
        # The child has the same user: dumpable, it could write frames through /proc/1/fd.
        set_dumpable(False)
        self.preload_at = time.monotonic() + self.options["preloadLimit"] if preload else NEVER

    def run(self):
        while not self.over():
            self.service.flush()
            self.step()

    # Waiting for what comes next.

    def step(self):
        child, poller, handlers = self.child, select.poll(), {}

        def watch(fd, events, handler):
            if fd is not None:
                poller.register(fd, events)
                handlers[fd] = handler

        watch(self.wakeup, select.POLLIN, self.reap)
        watch(self.service.stdin, select.POLLIN, self.obey)
        watch(child.report, select.POLLIN, self.hear_child)
        watch(child.give_to if child.task else None, select.POLLOUT, child.push)
        watch(self.service.out if self.service.outgoing else None, select.POLLOUT, self.service.flush)
        if self.service.room():
            watch(child.out, select.POLLIN, lambda: self.collect("out", STDOUT))
            watch(child.err, select.POLLIN, lambda: self.collect("err", STDERR))
        for fd, _ in poller.poll(self.patience()):
            handlers[fd]()

    def patience(self):
        """Milliseconds until the next deadline."""
        now = time.monotonic()
        heard = self.service.heard
        silent, gone = heard + self.options["silence"], heard + self.options["unattached"]
        every = (silent, gone, self.preload_at, self.timeout_at, self.kill_at, self.drain_at, self.close_at)
        return 1 + int(1000 * (min([at for at in every if at > now] + [now + GRACE]) - now))

    def over(self):
        """Meets the deadlines; whether there is nothing left to do."""
        now = time.monotonic()
        if self.preload_at <= now:
            self.give_up_preload(f"did not finish in {self.options['preloadLimit']:g} s")
        if self.timeout_at <= now:
            self.timeout_at = NEVER
            self.stop("timeout", GRACE)
        if self.kill_at <= now:
            self.kill_at = NEVER
            kill_all(self.child.pid)
        unattached = now - self.service.heard - self.options["unattached"]
        if unattached >= 0 and self.state == "running" and self.reason is None:
            self.stop("unattached", GRACE)
        if self.terminated:
            self.terminated = False
            if self.state in ("preloading", "waiting"):
                return True
            self.stop("cancelled", GRACE)
        if self.state == "running" and self.child.status is not None:
            self.settle(now)
        if self.state == "ended" and self.service.settled():
            return True
        return unattached >= (GRACE + DRAIN if self.state == "running" else 0)

    # The service.

    def obey(self):
        orders = {"task": self.begin, "ack": self.spool.ack, "cancel": self.cancel, "resume": self.resume, "ping": bool}
        for name, value in self.service.commands():
            try:
                orders[name](value)
            except (KeyError, TypeError, AttributeError) as error:
                complain(f"{name} on stdin was not understood: {error!r}")

    def begin(self, task):
        # It may come while a process that died waiting is replaced.
        if self.state not in ("preloading", "waiting"):
            return complain(f"a task was refused: {self.state}")
        self.state = "running"
        self.service.ready = True
        self.preload_at = NEVER
        self.started = time.monotonic()
        if task.get("timeout") is not None:
            self.timeout_at = self.started + task["timeout"]
        self.child.give(task)
        self.spool.append(BEGAN, b"{}")

    def cancel(self, value):
        if self.state == "running":
            self.stop("cancelled", value["grace"])
        elif self.state != "ended":
            self.terminated = True

    def resume(self, value):
        self.service.resume(value["offset"], value["marker"])
        if self.state != "preloading":
            self.say_ready()

    def say_ready(self):
        about = json.dumps({"state": self.state, "python": "%d.%d.%d" % sys.version_info[:3]}).encode()
        self.service.urgent.append(encode(READY, self.spool.next, microseconds(), about))
        self.service.ready = True

    # The user's process.

    def hear_child(self):
        for kind, message in self.child.reports():
            if kind == "preloaded" and self.state == "preloading":
                for note in message:
                    self.note(note)
                self.preload_at = NEVER
                self.state = "waiting"
                self.say_ready()
            elif kind == "result":
                self.result = message
            elif kind == "error":
                self.error = message

    def collect(self, name, kind):
        data = read(getattr(self.child, name))
        if data:
            self.spool.append(kind, data)
        elif data is not None:
            self.child.shut(name)

    def give_up_preload(self, why):
        """The run works without it, only slower: nothing of it is kept."""
        kill_all(self.child.pid)
        self.note(f"preloading {', '.join(self.options['preload'])} {why}; the run imports for itself")
        self.replace_child()

    def replace_child(self):
        self.child.close()
        self.state = "preloading"
        self.service.ready = False
        self.fork([])

    def note(self, text):
        self.spool.append(NOTE, json.dumps({"text": text}).encode())

    def reap(self):
        read(self.wakeup)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.child.pid:
                self.child_ended(status)

    def child_ended(self, status):
        how = said(status)
        if self.state == "running":
            self.child.status = status
            self.timeout_at = NEVER
            self.drain_at = time.monotonic() + (0 if self.reason else DRAIN)
            self.hear_child()
        elif self.state == "waiting":
            self.note(f"the waiting process ended ({how}); the run has a new one")
            self.replace_child()
        elif self.preload_at != NEVER:
            self.give_up_preload(f"ended its process ({how})")
        else:
            sys.exit(f"launcher: the user's process does not start ({how})")

    def stop(self, reason, grace):
        """SIGTERM to the process group, SIGKILL to all after the grace. The first reason counts."""
        self.reason = self.reason or reason
        if grace <= 0:
            kill_all(self.child.pid)
            return
        self.kill_at = min(self.kill_at, time.monotonic() + grace)
        try:
            os.killpg(self.child.pid, signal.SIGTERM)
        except OSError:
            pass  # it has ended

    def settle(self, now):
        """The user's process has ended. What it left behind may finish its output for a moment, then is killed."""
        child = self.child
        if child.out is None and child.err is None:
            kill_all(child.pid)
            self.finish()
        elif not self.service.room():
            # The clocks stand still: it can't finish while nobody takes its output.
            self.drain_at = now + DRAIN if self.drain_at != NEVER else NEVER
            self.close_at = now + GRACE if self.close_at != NEVER else NEVER
        elif self.drain_at <= now:
            self.drain_at, self.close_at = NEVER, now + GRACE
            kill_all(child.pid)
        elif self.close_at <= now:
            # Killed, and still open: what can't be killed is not waited for.
            child.shut("out")
            child.shut("err")
            self.finish()

    def finish(self):
        status, error = self.child.status, self.error
        if self.child.function and said(status) == "exit code 0" and self.result is None:
            error = error or NO_RESULT
        if self.result is not None:
            self.spool.append(RESULT, self.result)
        seconds = round(time.monotonic() - self.started, 6)
        ended = outcome(status, self.reason, oom_kills() > self.ooms, seconds, error)
        self.spool.append(OUTCOME, json.dumps(ended).encode())
        self.kill_at = self.drain_at = self.close_at = NEVER
        self.state = "ended"


if __name__ == "__main__":
    ensure_home()
    Launcher(json.loads(sys.argv[1])).run()
