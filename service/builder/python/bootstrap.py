"""Fetches the builder image's own wheels with the base's pip, by the versions and hashes given on stdin.

On stdout, for each: {"filename", "size"} as a line, and the wheel's bytes. pip's own output goes to stderr.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile


def main():
    with tempfile.TemporaryDirectory() as folder:
        requirements = os.path.join(folder, "requirements.txt")
        with open(requirements, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        out = os.path.join(folder, "wheels")
        status = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary", ":all:",
             "--no-cache-dir", "--progress-bar", "off", "--disable-pip-version-check", "--dest", out,
             "--requirement", requirements],
            stdout=sys.stderr,
        ).returncode
        if status:
            raise SystemExit(status)
        with os.fdopen(1, "wb") as stdout:
            for name in sorted(os.listdir(out)):
                path = os.path.join(out, name)
                stdout.write(json.dumps({"filename": name, "size": os.path.getsize(path)}).encode() + b"\n")
                with open(path, "rb") as wheel:
                    shutil.copyfileobj(wheel, stdout, 1 << 20)


main()
