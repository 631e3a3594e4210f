"""Compiles Python sources to byte code that is the same every time. Standard library only, Python 3.8 or later.

On stdin, for each artifact: {"key": ..., "size": n} as a line, and n bytes: a tar.gz of its sources, with their paths
below "/". For each, in any order, on stdout: {"key", "files": [[path, size], ...], "skipped": [paths]} as a line, and
the bytes of the files; or {"key", "crashed": signal or exit code}. {"end": true} is answered likewise once all before it
are, and {} at once. The argument is the number of processes.

What marshal writes depends on how often an object is referred to, and so on everything that the process did before.
Therefore each artifact has a process of its own, forked from one that compiles nothing; each code object is
marshalled and read back first; hashing of strings is fixed by PYTHONHASHSEED=0 from outside. The byte code holds the
source's hash and is never checked against it (PEP 552, unchecked), so that times of files do not matter.
"""

import fcntl
import gc
import importlib.util
import io
import json
import marshal
import os
import select
import signal
import sys
import tarfile
import tempfile
import zlib
from importlib._bootstrap_external import _code_to_hash_pyc


def byte_code(path, source):
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    code = marshal.loads(marshal.dumps(code))
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))


def inflated(archive):
    """What many small gzip members hold; the gzip module copies all that follows once for each of them."""
    pieces = []
    at = 0
    inflater = zlib.decompressobj(wbits=31)
    while at < len(archive):
        chunk = archive[at : at + 16384]
        pieces.append(inflater.decompress(chunk))
        at += len(chunk) - len(inflater.unused_data)
        if inflater.eof:
            inflater = zlib.decompressobj(wbits=31)
    return b"".join(pieces)


def compile_artifact(key, archive):
    """The header of one artifact's answer, and its bytes."""
    with tarfile.open(fileobj=io.BytesIO(inflated(archive)), mode="r:") as tar:
        sources = sorted((member.name, tar.extractfile(member).read()) for member in tar)
    compiled = []
    skipped = []
    for path, source in sources:
        try:
            target = importlib.util.cache_from_source(path, optimization="")
            compiled.append((target, byte_code("/" + path, source)))
        except Exception:  # Packages ship files that are not meant for this Python, or not Python at all.
            skipped.append(path)
    compiled.sort()
    header = {"key": key, "files": [[path, len(data)] for path, data in compiled], "skipped": skipped}
    return header, [data for _, data in compiled]


def answer(lock, header, contents):
    """Writes one whole answer, while no other process writes."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    with os.fdopen(os.dup(1), "wb") as out:
        out.write(json.dumps(header).encode() + b"\n")
        out.writelines(contents)
    fcntl.flock(lock, fcntl.LOCK_UN)


class Pool:
    """The processes under way."""

    def __init__(self, processes, lock_path):
        self.processes = processes
        self.lock_path = lock_path
        self.running = {}

    def start(self, key, archive):
        while len(self.running) >= self.processes:
            self.reap(0)
        child = os.fork()
        if child:
            self.running[child] = key
            return
        status = 1
        try:
            with open(self.lock_path, "rb") as lock:  # Opened here: a lock belongs to an open file, forks share it.
                answer(lock, *compile_artifact(key, archive))
            status = 0
        finally:
            os._exit(status)

    def finish(self):
        while self.reap(0):
            pass

    def reap(self, flags):
        """Takes note of one that has ended; says whether there was one."""
        child, status = os.waitpid(-1, flags) if self.running else (0, 0)
        if child:
            key = self.running.pop(child)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                # No source does that: the memory limit does, and whoever waits for the container hears of it.
                raise SystemExit("a process was killed")
            if status:
                with open(self.lock_path, "rb") as lock:
                    answer(lock, {"key": key, "crashed": status & 0x7F or status >> 8}, [])
        return bool(child)


class Input:
    """Stdin; while it is silent, ended processes are reaped."""

    def __init__(self, pool):
        self.pool = pool
        self.rest = b""

    def more(self):
        while not select.select([0], [], [], 0.5 if self.pool.running else None)[0]:
            while self.pool.reap(os.WNOHANG):
                pass
        return os.read(0, 1 << 20)

    def line(self):
        while b"\n" not in self.rest:
            data = self.more()
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def exactly(self, size):
        pieces = [self.rest]
        have = len(self.rest)
        while have < size:
            data = self.more()
            if not data:
                raise SystemExit("the input ends early")
            pieces.append(data)
            have += len(data)
        data = b"".join(pieces)
        self.rest = data[size:]
        return data[:size]


def main(processes):
    gc.disable()  # Code objects form no cycles.
    with tempfile.NamedTemporaryFile() as lock:
        pool = Pool(processes, lock.name)
        source = Input(pool)
        for line in iter(source.line, None):
            request = json.loads(line)
            if "key" in request:
                pool.start(request["key"], source.exactly(request["size"]))
            else:
                if "end" in request:
                    pool.finish()
                with open(lock.name, "rb") as own:
                    answer(own, request, [])
        pool.finish()


main(int(sys.argv[1]))
