"""Compiles Python sources to byte code that is the same every time. Standard library only, Python 3.8 or later.

Each line on stdin names an artifact: {"key": ..., "paths": ["opt/env/...", ...]}, below "/". For each a line comes on
stdout, in any order: {"key", "files": [[path, size], ...], "skipped": [...]}, and then the bytes of the files; or
{"key", "crashed": signal or exit code}. The argument is the number of processes.

What marshal writes depends on how often an object is referred to, and so on everything that the process did before.
Therefore each artifact has a process of its own, forked from one that compiles nothing; each code object is
marshalled and read back first; hashing of strings is fixed by PYTHONHASHSEED=0 from outside. The byte code holds the
source's hash and is never checked against it (PEP 552, unchecked), so that times of files do not matter.
"""

import fcntl
import gc
import importlib.util
import json
import marshal
import os
import select
import sys
import tempfile
from importlib._bootstrap_external import _code_to_hash_pyc


def byte_code(path):
    """The byte code of the source at a path, and where it belongs."""
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    code = marshal.loads(marshal.dumps(code))
    return importlib.util.cache_from_source(path, optimization=""), bytes(
        _code_to_hash_pyc(code, importlib.util.source_hash(source), False)
    )


def compile_artifact(request):
    """The header of one artifact's answer, and its bytes."""
    compiled = []
    skipped = []
    for path in sorted(request["paths"]):
        try:
            target, content = byte_code("/" + path)
            compiled.append((target[1:], content))
        except Exception:  # Packages ship files that are not meant for this Python, or not Python at all.
            skipped.append(path)
    compiled.sort()
    header = {"key": request["key"], "files": [[path, len(data)] for path, data in compiled], "skipped": skipped}
    return header, [data for _, data in compiled]


def answer(lock, header, contents):
    """Writes one whole answer, while no other process writes."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    with os.fdopen(os.dup(1), "wb") as out:
        out.write(json.dumps(header).encode() + b"\n")
        out.writelines(contents)
    fcntl.flock(lock, fcntl.LOCK_UN)


def start(request, lock_path):
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(lock_path, "rb") as lock:  # Opened here: a lock belongs to the open file, which forks share.
            answer(lock, *compile_artifact(request))
        status = 0
    finally:
        os._exit(status)


def lines(fd):
    """The lines of a file as they come; None when half a second passed without one."""
    rest = b""
    while True:
        if not select.select([fd], [], [], 0.5)[0]:
            yield None
            continue
        data = os.read(fd, 1 << 20)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def main(processes):
    gc.disable()  # Code objects form no cycles.
    running = {}
    with tempfile.NamedTemporaryFile() as lock:

        def reap(flags):
            child, status = os.waitpid(-1, flags)
            if child:
                key = running.pop(child)
                if status:
                    answer(lock, {"key": key, "crashed": status & 0x7F or status >> 8}, [])
            return child

        for line in lines(0):
            while running and reap(0 if len(running) >= processes and line else os.WNOHANG):
                pass
            if line:
                request = json.loads(line)
                running[start(request, lock.name)] = request["key"]
        while running:
            reap(0)


main(int(sys.argv[1]))
