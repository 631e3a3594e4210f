"""Builds a wheel in the base that it is meant for. Standard library only, Python 3.8 or later.

On stdin, as JSON: {"source": path of an sdist, or of a project's folder; "editable": whether its wheel is to point to
that folder (PEP 660) instead of holding its code (PEP 517); "subdirectory": of an sdist's project; "uv", "settings":
uv's path and that of its settings, absent where uv does not run here}. The backend's own output goes to stderr.
On stdout: {"filename", "size"} as a line, and the wheel's bytes; or {"refused": why an editable wheel is of no use}.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

# Where runs have the code: an editable wheel may point there and nowhere else.
WORKSPACE = "/workspace"
NATIVE = re.compile(r"\.(so|pyd|dylib)(\.[\d.]+)?$")
# Calls one hook of the backend, in the environment that was made for it. PEP 517 and 660.
HOOK = """
import importlib, json, os, sys
backend, paths, name, arguments, answer = json.loads(sys.argv[1])
sys.path[:0] = [os.path.abspath(path) for path in paths]
module, _, attribute = backend.partition(":")
found = importlib.import_module(module)
for part in filter(None, attribute.split(".")):
    found = getattr(found, part)
hook = getattr(found, name, None)
with open(answer, "w") as file:
    json.dump(hook(*arguments) if hook else None, file)
"""


# Finds modules that the build wrote into the code where the code itself does not have them.
FINDER = """import importlib.util
import os
import sys

CODE = "/workspace"
HERE = os.path.dirname(os.path.abspath(__file__))


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        for folder in sys.path if path is None else path:
            place = os.path.relpath(os.path.abspath(folder), CODE)
            file = os.path.join(HERE, place, name.rpartition(".")[2] + ".py")
            if not place.startswith("..") and os.path.isfile(file):
                return importlib.util.spec_from_file_location(name, file)
        return None


sys.meta_path.append(Finder)
"""


class Refused(Exception):
    """An editable wheel that would not work in a run."""


def unpacked(source, folder):
    """The source tree of an sdist that is no .tar.gz: older projects have such, uv reads no other."""
    shutil.unpack_archive(source, folder)
    roots = os.listdir(folder)
    if len(roots) != 1:
        raise SystemExit("{} does not hold one folder, but {}".format(os.path.basename(source), len(roots)))
    return os.path.join(folder, roots[0])


def run(command, **options):
    status = subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL, **options).returncode
    if status:
        raise SystemExit(status)


def build(source, out, uv=None, settings=None):
    if uv:
        run([uv, "build", "--wheel", "--config-file", settings, "--no-progress", "--color", "never",
             "--no-python-downloads", "--python", sys.executable, "--out-dir", out, source])
    else:
        run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", out, source])


def build_editable(project, out, folder, system, uv=None, settings=None):
    python = environment(folder, uv)
    before = files_below(WORKSPACE)

    def install(requirements):
        if uv and requirements:
            run([uv, "pip", "install", "--config-file", settings, "--no-progress", "--color", "never",
                 "--python", python, "--", *requirements])
        elif requirements:
            run([sys.executable, "-m", "pip", "--python", python, "install", "--no-cache-dir", "--", *requirements])

    def hook(name, *arguments):
        answer = os.path.join(folder, "answer.json")
        asked = json.dumps([system["backend"], system["paths"], name, arguments, answer])
        # The backend's programs (ninja, cython) are those of its environment.
        path = os.path.dirname(python) + os.pathsep + os.environ.get("PATH", os.defpath)
        run([python, "-c", HOOK, asked], cwd=project, env={**os.environ, "PATH": path})
        with open(answer) as file:
            return json.load(file)

    install(system["requires"])
    install(hook("get_requires_for_build_editable") or [])
    if hook("build_editable", out) is None:
        raise Refused("its build backend {} makes no editable installs (PEP 660)".format(system["backend"]))
    for name in os.listdir(out):
        path = os.path.join(out, name)
        look_at_wheel(path, folder)
        generated = look_at_tree(files_below(WORKSPACE) - before, name.split("-")[1])
        if generated:
            add_generated(path, generated)


def environment(folder, uv):
    """A virtual environment for the backend; its Python."""
    path = os.path.join(folder, "environment")
    if uv:
        run([uv, "venv", "--quiet", "--no-config", "--no-python-downloads", "--python", sys.executable, path])
    else:
        run([sys.executable, "-m", "venv", "--without-pip", path])
    return os.path.join(path, "bin", "python")


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}


def look_at_tree(new, version):
    """What a build writes beside the code is not there in a run, which has the commit's files.

    A module with the version says the same as long as the wheel does, so it can go with that: gives those by their paths.
    """
    generated = {}
    for path in sorted(path for path in new if "build" not in path.split("/")[:-1]):
        if NATIVE.search(path):
            raise Refused("its editable build writes {} into the code, and a run has only what is committed".format(path))
        if path.endswith(".py"):
            with open(os.path.join(WORKSPACE, path), "rb") as file:
                generated[path] = file.read()
            if version.replace("_", "-").encode() not in generated[path].replace(b"_", b"-"):
                raise Refused("its editable build writes {} into the code, which would go on as it is when the code changes".format(path))
    return generated


def add_generated(path, generated):
    """Adds modules to a wheel, and what finds them as if they lay in the code."""
    parts = os.path.basename(path).split("-")
    finder = "_meadow_generated_{}".format(parts[0])
    files = {"{}/{}".format(finder, name): content for name, content in generated.items()}
    files[finder + "/__init__.py"] = FINDER.encode()
    files[finder + ".pth"] = "import {}\n".format(finder).encode()
    record = "{}-{}.dist-info/RECORD".format(*parts[:2])
    with zipfile.ZipFile(path) as wheel:
        old = {info: wheel.read(info) for info in wheel.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for info, content in old.items():
            if info.filename != record:
                wheel.writestr(info, content)
                continue
            rows = ["{},sha256={},{}\n".format(name, hash_of(added), len(added)) for name, added in files.items()]
            wheel.writestr(info, content.rstrip(b"\n") + b"\n" + "".join(rows).encode())
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), content)


def hash_of(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def look_at_wheel(path, folder):
    """What it points to must be there in a run, and it may hold no code that a commit could change."""
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if NATIVE.search(name):
                raise Refused("its editable build compiles {}, which would go on as it is when the code changes".format(name))
            if name.endswith((".pth", ".py")) and "/" not in name:
                look_at_pointers(name, wheel.read(name).decode("utf-8", "replace"), folder)


def look_at_pointers(name, text, folder):
    if folder in text:
        raise Refused("its editable wheel points to {}, which is not there in a run".format(folder))
    if not name.endswith(".pth"):
        return
    for line in text.splitlines():
        inside = (os.path.normpath(line.strip()) + "/").startswith(WORKSPACE + "/")
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and not inside:
            raise Refused("its editable wheel points to {}, which is not in the code".format(line.strip()))


def main(source, editable, system=None, subdirectory="", **uv):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        os.mkdir(out)
        if os.path.isfile(source) and (subdirectory or not source.endswith(".tar.gz")):
            source = os.path.join(unpacked(source, os.path.join(folder, "source")), subdirectory)
        try:
            if editable:
                build_editable(source, out, folder, system, **uv)
            else:
                build(source, out, **uv)
        except Refused as refused:
            print(json.dumps({"refused": str(refused)}))
            return
        wheels = [name for name in os.listdir(out) if name.endswith(".whl")]
        if len(wheels) != 1:
            raise SystemExit("the backend made {} wheels".format(len(wheels)))
        path = os.path.join(out, wheels[0])
        with open(path, "rb") as wheel, os.fdopen(1, "wb") as stdout:
            stdout.write(json.dumps({"filename": wheels[0], "size": os.path.getsize(path)}).encode() + b"\n")
            shutil.copyfileobj(wheel, stdout, 1 << 20)


main(**json.load(sys.stdin))
