"""Solves conda environments and links conda packages with rattler. Runs in a builder image of its own, without network.

Each request on stdin is a line of JSON and as many bytes as its "size" says. Each gets one line on stdout, and after it
the bytes of the files that it lists:
  {}                                                        -> {}
  {"channel": n, "subdir": ..., "size": n}                  the repodata.json of a channel -> {}
  {"solve": [specs], "channels": [[n, url, name], ...], "subdir": ..., "virtual": {name: [version, build]}}
    -> {"records": [...]} or {"failed": why}
  {"find": [specs], "channels": ..., "subdir": ...}          -> {"found": [[whether it is there, other builds], ...]}
  {"link": file name, "url": ..., "channel": ..., "subdir": ..., "python": {...} or null, "size": n}   and an archive
    -> {"files": [[path, mode, time, link or null, size], ...], ...} or {"failed": why}

No code of a package runs here. A package is linked by itself, as what becomes of it depends on nothing but itself, the
prefix and, where it is noarch, on the Python: a package of that name without files stands in for it.
"""

import asyncio
import io
import json
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
from pathlib import Path

from rattler import (BuildString, Channel, Config, Gateway, GenericVirtualPackage, MatchSpec, PackageName,
                     RepoDataRecord, Subdir, Version, install, solve)

PREFIX = "/opt/env"
CHANNELS = Path("/tmp/channels")
# A cache that packages are hard-linked from is changed by whoever writes to a prefix.
CONFIG = Config.from_toml("allow-hard-links = false")
# What conda-meta says of how a package got there, not of the package.
VOLATILE = ("extracted_package_dir", "package_tarball_full_path", "link", "requested_spec", "requested_specs")


class Failed(Exception):
    """A request that can't be met, with more fields of its answer."""

    def __init__(self, message, **fields):
        super().__init__(message)
        self.fields = fields


def local(number):
    return f"file://{CHANNELS}/{number}"


def match(spec, channels=()):
    """A spec, with the channel that it may name (`channel::name`) as this container knows it."""
    channel, _, rest = spec.rpartition("::")
    known = [number for number, url, name in channels if channel in (name, url)]
    try:
        # Of defaults, which are two, the first has nearly all.
        return MatchSpec(f"{local(known[0])}::{rest}" if known else spec)
    except Exception as error:
        raise Failed(str(error), spec=spec) from error


async def solved(request):
    """Exact records for a list of specs."""
    channels = {number: url for number, url, _ in request["channels"]}
    sources = [Channel(local(number)) for number in channels]
    platforms = [Subdir(request["subdir"]), Subdir("noarch")]
    virtual = [GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
               for name, (version, build) in request["virtual"].items()]
    specs = [match(spec, request["channels"]) for spec in request["solve"]]

    async def solution(with_pip):
        return await solve(sources=sources, specs=specs, platforms=platforms, virtual_packages=virtual,
                           add_pip_as_python_dependency=with_pip)

    try:
        records = await solution(True)  # As conda does it, where nobody says otherwise.
    except Exception:  # Channels may have no pip, or none that goes with the rest.
        try:
            records = await solution(False)
        except Exception as error:
            raise Failed(str(error)) from error
    return {"records": sorted((row(record, channels) for record in records), key=lambda record: record["name"])}


def row(record, channels):
    """A record as a lock has it, with the channel's real address."""
    number, rest = re.fullmatch(rf"file://{CHANNELS}/(\d+)/(.+)", record.url).groups()
    return {
        "name": record.name.normalized, "version": str(record.version), "build": str(record.build),
        "channel": channels[int(number)], "url": f"{channels[int(number)]}/{rest}", "filename": record.file_name,
        "subdir": record.subdir, "sha256": record.sha256 and record.sha256.hex(), "size": record.size,
        "md5": record.md5 and record.md5.hex(), "sitePackages": record.python_site_packages_path,
    }


async def there(request):
    """For each spec, whether the channels have it for a platform, and which builds of that name they have."""
    gateway = Gateway()
    channels = [Channel(local(number)) for number in {number: url for number, url, _ in request["channels"]}]
    platforms = [Subdir(request["subdir"]), Subdir("noarch")]

    async def found(spec):
        answer = await gateway.query(sources=channels, platforms=platforms, specs=[spec], recursive=False)
        return [record for records in answer for record in records]

    rows = []
    for text in request["find"]:
        spec = match(text.split("::", 1)[-1])
        exact = await found(spec)
        others = exact or (await found(MatchSpec(spec.name.normalized)) if spec.name else [])
        rows.append([bool(exact), sorted({f"{one.version}={one.build}" for one in others})])
    return {"found": rows}


def stand_in(folder, python):
    """An archive of a Python without files: what linking noarch packages needs to know of the real one."""
    index = {"name": "python", "version": python["version"], "build": python["build"], "build_number": 0,
             "depends": [], "subdir": "linux-64"}
    if python.get("sitePackages"):
        index["python_site_packages_path"] = python["sitePackages"]
    path = Path(folder, f"python-{python['version']}-{python['build']}.tar.bz2")
    infos = {"info/index.json": json.dumps(index), "info/paths.json": '{"paths": [], "paths_version": 1}',
             "info/files": ""}
    with tarfile.open(path, "w:bz2") as tar:
        for name, text in infos.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


async def linked(request, archive, folder):
    """The files of one package as they are in the environment, in the order of their paths."""
    record = await RepoDataRecord.from_package_archive(archive)
    records = [record]
    if record.name.normalized != "python" and request.get("python"):
        records.append(await RepoDataRecord.from_package_archive(stand_in(folder, request["python"])))
    prefix = Path(folder, "prefix")
    await install(records, target_prefix=prefix, cache_dir=Path(folder, "cache"), show_progress=False,
                  platform=Subdir(request["subdir"]), alternative_target_prefix=PREFIX, execute_link_scripts=False,
                  config=CONFIG)
    name = f"{record.name.normalized}-{record.version}-{record.build}.json"
    meta_path = prefix / "conda-meta" / name
    meta = json.loads(meta_path.read_bytes())
    meta_path.write_bytes(normalised(meta, request))
    kept = {entry["_path"] for entry in meta["paths_data"]["paths"] if entry["path_type"] in ("hardlink", "softlink")}
    rows = [file_row(prefix, path, path in kept) for path in sorted([*meta["files"], f"conda-meta/{name}"])]
    return {"files": rows, "name": record.name.normalized, "version": str(record.version),
            "noarch": bool(record.noarch.python)}, prefix


def normalised(meta, request):
    meta = {key: value for key, value in meta.items() if key not in VOLATILE}
    meta |= {"requested_specs": [], "url": request["url"], "channel": request["channel"], "fn": request["link"]}
    return (json.dumps(meta, indent=2, sort_keys=True) + "\n").encode()


def file_row(prefix, path, kept):
    """[path, mode, time, link, size]; times of files that linking makes are none."""
    info = os.lstat(prefix / path)
    time = int(info.st_mtime) if kept else 0
    if stat.S_ISLNK(info.st_mode):
        return [path, 0o777, time, os.readlink(prefix / path), 0]
    if not stat.S_ISREG(info.st_mode):
        raise Failed(f"it has {path}, which is neither a file nor a link")
    return [path, 0o755 if info.st_mode & 0o111 else 0o644, time, None, info.st_size]


def answer(header, prefix=None):
    out = sys.stdout.buffer
    out.write(json.dumps(header).encode() + b"\n")
    for path, _, _, link, size in header.get("files", ()) if prefix else ():
        if link is None and size:
            with open(prefix / path, "rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
    out.flush()


def receive(path, size):
    """The bytes behind a request, into a file. Where that fails, the next request can't be found any more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            left = size
            while left:
                piece = sys.stdin.buffer.read(min(left, 1 << 20))
                if not piece:
                    raise SystemExit("the input ends early")
                file.write(piece)
                left -= len(piece)
    except OSError as error:
        raise SystemExit(f"the input can't be kept: {error}") from error


async def serve_one(request, folder):
    if not request:
        answer({})
    elif "channel" in request and "subdir" in request and "link" not in request:
        receive(CHANNELS / str(request["channel"]) / request["subdir"] / "repodata.json", request["size"])
        answer({})
    elif "solve" in request:
        answer(await solved(request))
    elif "find" in request:
        answer(await there(request))
    else:
        archive = Path(folder, os.path.basename(request["link"]))
        receive(archive, request["size"])
        answer(*await linked(request, archive, folder))


async def serve():
    for line in sys.stdin.buffer:
        request = json.loads(line)
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            try:
                await serve_one(request, folder)
            except Failed as error:
                answer({"failed": str(error), **error.fields})
            except Exception as error:  # rattler's own have no common base.
                answer({"failed": str(error)})


if __name__ == "__main__":
    code = 0
    try:
        asyncio.run(serve())
    except BaseException as error:
        print(error, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os._exit(code)  # The interpreter may crash at its end, the work done.
