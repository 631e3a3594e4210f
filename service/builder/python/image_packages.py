"""Tells uv what an image has already: each package at its version, and nothing of it in the lock. Standard library only.

As a program: a file of the packages as JSON ([{"name", "version", "requires"}]), uv's path, and uv's arguments.
"""

import json
import os
import re
import sys
import tempfile
import zipfile

# PEP 440, as it is written when it is normalised. Others can't be asked for by their version.
VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+(\.[a-z0-9]+)*)?")


def arguments(installed, folder):
    """
    uv's arguments. Constraints alone would not do: an image may have versions that no index has. So uv is shown wheels
    that are nothing but metadata, made in the folder.
    """
    known = [package for package in installed if VERSION.fullmatch(package["version"])]
    if not known:
        return []
    constraints = os.path.join(folder, "image-constraints.txt")
    with open(constraints, "w", encoding="utf-8") as file:
        file.writelines("{name}=={version}\n".format(**package) for package in known)
    for package in known:
        write_wheel(folder, **package)
    left_out = [argument for package in known for argument in ("--no-emit-package", package["name"])]
    return ["--constraint", constraints, "--find-links", folder, *left_out]


def write_wheel(folder, name, version, requires):
    stem = "{}-{}".format(name.replace("-", "_"), version)
    lines = ["Metadata-Version: 2.1", "Name: " + name, "Version: " + version]
    # Of what the image was itself made from, only what is on one line is a requirement.
    lines += ["Requires-Dist: " + each for each in requires if "\n" not in each and "\r" not in each]
    with zipfile.ZipFile(os.path.join(folder, stem + "-py3-none-any.whl"), "w") as wheel:
        info = stem + ".dist-info/"
        wheel.writestr(info + "METADATA", "\n".join(lines) + "\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: meadow-run\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")


def main(packages, uv, *rest):
    with open(packages, encoding="utf-8") as file:
        installed = json.load(file)
    os.execv(uv, [uv, *rest, *arguments(installed, tempfile.mkdtemp())])


if __name__ == "__main__":
    main(*sys.argv[1:])
