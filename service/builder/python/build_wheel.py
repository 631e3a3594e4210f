"""Builds an sdist to a wheel (PEP 517) in the base that it is meant for. Standard library only, Python 3.8 or later.

Arguments: the sdist's path; then uv's path and that of its settings, or neither where uv does not run here. The
backend's own output goes to stderr. On stdout: {"filename", "size"} as a line, and the wheel's bytes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile


def unpacked(source, folder):
    """The source tree of an sdist that is no .tar.gz: older projects have such, uv reads no other."""
    shutil.unpack_archive(source, folder)
    roots = os.listdir(folder)
    if len(roots) != 1:
        raise SystemExit("{} does not hold one folder, but {}".format(os.path.basename(source), len(roots)))
    return os.path.join(folder, roots[0])


def command(source, out, uv=None, settings=None):
    if uv:
        return [uv, "build", "--wheel", "--config-file", settings, "--no-progress", "--color", "never",
                "--no-python-downloads", "--python", sys.executable, "--out-dir", out, source]
    return [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", out, source]


def main(source, *uv):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        os.mkdir(out)
        if not source.endswith(".tar.gz"):
            source = unpacked(source, os.path.join(folder, "source"))
        status = subprocess.run(command(source, out, *uv), stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode
        wheels = [name for name in os.listdir(out) if name.endswith(".whl")]
        if status or len(wheels) != 1:
            raise SystemExit(status or "the backend made {} wheels".format(len(wheels)))
        path = os.path.join(out, wheels[0])
        with open(path, "rb") as wheel, os.fdopen(1, "wb") as stdout:
            stdout.write(json.dumps({"filename": wheels[0], "size": os.path.getsize(path)}).encode() + b"\n")
            shutil.copyfileobj(wheel, stdout, 1 << 20)


main(*sys.argv[1:])
