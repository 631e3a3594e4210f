"""Makes locks: runs uv, and chooses from a pylock.toml what one environment installs. Runs in the builder image.

Each line on stdin is a request and gets one line on stdout, until stdin ends; {} gets {}:
  {"files": {path: text}, "arguments": [of uv], "lock": text}  one of arguments (to make the lock) and lock
  "markers": {...}, "tags": [...]                               of the environment
  "hashes": {name: [sha256, ...]} or null                       what the user's own hashes allow
  "index": url                                                  where files came from whose origin the lock leaves out
  "folder": path                                                where the lock lies in the code tree; its paths begin there
  "extras": [...], "groups": [...], "withoutGroups": [...]      to be chosen from a lock that has them
  "uvLock": path                                                of a uv.lock among the files that must not be stale
  "installed": [{"name", "version", "requires"}]                what the image has already, which no lock needs to hold
  "universal": {"files": {path: text}, "arguments": {name: [of uv]}}  to look up the wheels of "one.txt" for any system
  "project": {"name", "folder"}                                 to be added to the lock, editable
-> {"text": pylock.toml, "artifacts": [...], "notes": [what uv warns of]}
-> {"failed": step, "message": ..., "package": name or null}    the steps are those of RefusedStep
"""

import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.pylock import Package, PackageArchive, Pylock, PylockSelectError, PylockValidationError
from packaging.tags import parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from pip._internal.models.index import PyPI

import image_packages
from failed import Failed
from uv_project import check_fresh, check_requirements, with_project


# What build_wheel.py unpacks.
SDISTS = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")


def remember_index(arguments, folder):
    """Settings for the index that uv asks by itself, where no other takes its place: what it says holds for ten minutes."""
    config = Path(folder, arguments[arguments.index("--config-file") + 1])
    text = config.read_text(encoding="utf-8")
    if not any(index.get("default") for index in tomllib.loads(text).get("index", [])):
        config.write_text(
            f'{text}\n[[index]]\nurl = "{PyPI.simple_url}"\ndefault = true\n'
            'cache-control = { api = "max-age=600", files = "max-age=365000000, immutable" }\n',
            encoding="utf-8",
        )


def run_uv(request, fresh):
    """The pylock.toml that uv makes of the request's files."""
    with tempfile.TemporaryDirectory() as folder:
        check_requirements(request["files"])
        for path, text in request["files"].items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        remember_index(request["arguments"], folder)
        # An export takes a lock as it is; what the image has of it is left out when it is chosen from.
        on_image = [] if request.get("uvLock") else image_packages.arguments(request.get("installed") or [], tempfile.mkdtemp(dir=folder))
        command = ["uv", *request["arguments"], *on_image, "--python", sys.executable, *(["--refresh"] if fresh else [])]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        # Only of a lock that uv can read, and before a group that it does not have yet is called missing.
        if request.get("uvLock") and (done.returncode == 0 or "is not defined in" in done.stderr):
            check_fresh(request["files"], request["uvLock"], request["markers"])
        if done.returncode == 0:
            # A release that was yanked, for one.
            request["notes"] = re.findall(r"^warning: (.+)$", done.stderr.replace(folder + "/", ""), re.M)
            return relative(done.stdout, folder)
        raise Failed("uv", done.stderr.replace(folder + "/", ""))


def relative(text, folder):
    """A lock by uv without the folder that it was made in: some of its paths are absolute, some are URLs."""
    url = re.compile(f'url = "file://{re.escape(folder)}/([^"]*)"')
    text = url.sub(lambda found: f'path = "{unquote(found[1])}"', text).replace(f'path = "{folder}"', 'path = "."')
    return text.replace(f'path = "{folder}/', 'path = "')


def read_lock(text):
    try:
        return Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError, RecursionError) as error:
        raise Failed("lock", str(error)) from error


def allow_only(lock, hashes):
    """Leaves of every package the files whose hash the user wrote down."""
    packages = []
    for package in lock.packages:
        allowed = hashes.get(package.name)
        if not allowed:
            raise Failed("hash", "no hash is given for it, while others have one", package.name)
        wheels = [wheel for wheel in package.wheels or () if wheel.hashes.get("sha256") in allowed]
        sdist = package.sdist if package.sdist and package.sdist.hashes.get("sha256") in allowed else None
        archive = package.archive if package.archive and package.archive.hashes.get("sha256") in allowed else None
        if not (wheels or sdist or archive):
            raise Failed("hash", f"no file of version {package.version} has one of the given hashes", package.name)
        packages.append(replace(package, wheels=wheels or None, sdist=sdist, archive=archive))
    return packages


def replace(package, **changes):
    fields = ("name", "version", "marker", "requires_python", "dependencies", "vcs", "directory", "archive", "index",
              "sdist", "wheels", "attestation_identities", "tool")
    return Package(**{**{field: getattr(package, field) for field in fields}, **changes})


def inside(written, package, request):
    """A path of the lock as it is known in the code tree: relative, the root is empty."""
    path = unquote(urlsplit(written).path) if written.startswith("file:") else written
    if path.startswith("/") or "\\" in path or re.match(r"[A-Za-z]:", path):
        raise Failed("path", f"it is locked to {written}, which is no path inside the repository", package.name)
    path = posixpath.normpath(posixpath.join(request.get("folder") or "", path))
    if path == ".." or path.startswith("../"):
        raise Failed("path", f"it is locked to {written}, which leads outside the repository", package.name)
    return "" if path == "." else path


def subdirectory(chosen, package):
    """Where in a tree the project lies, as a field of the answer."""
    path = posixpath.normpath(getattr(chosen, "subdirectory", None) or ".")
    if path.startswith(("/", "..")) or "\\" in path:
        raise Failed("path", f"its subdirectory {path} leads outside of it", package.name)
    return {} if path == "." else {"subdirectory": path}


def source_tree(kind, package, chosen, request):
    """A row for what is built from a tree of files: a directory or a git repository."""
    row = {"name": package.name, "version": str(package.version or "0"), "kind": kind, "filename": package.name,
           **subdirectory(chosen, package)}
    if kind == "directory":
        return {**row, "path": inside(chosen.path, package, request), **({"editable": True} if chosen.editable else {})}
    if chosen.type != "git" or not chosen.url:
        raise Failed("kind", f"it is locked to {chosen.type} at {chosen.url or chosen.path}; only git by URL is supported", package.name)
    if not re.fullmatch(r"[0-9a-f]{40}", chosen.commit_id):
        raise Failed("kind", f"its commit {chosen.commit_id!r} is not one of 40 hex digits", package.name)
    return {**row, "url": chosen.url.removeprefix("git+"), "commit": chosen.commit_id}


def artifact(package, chosen, tags, request):
    """One row of the answer."""
    kind = type(chosen).__name__.removeprefix("Package").lower()
    if kind in ("vcs", "directory"):
        return source_tree(kind, package, chosen, request)
    url = chosen.url if chosen.url and not chosen.url.startswith("file:") else None
    sha256 = {"sha256": chosen.hashes["sha256"].lower()} if "sha256" in chosen.hashes else {}
    if url and not sha256:
        raise Failed("hash", f"it has no sha256 hash, only {', '.join(chosen.hashes) or 'none'}", package.name)
    where = {"url": url} if url else {"path": inside(chosen.path or chosen.url, package, request)}
    filename = getattr(chosen, "name", None) or unquote(urlsplit(url).path if url else where["path"]).rsplit("/", 1)[-1]
    if kind == "archive":  # What was named by its URL or path: a wheel or an sdist, as its name says.
        kind = "wheel" if filename.endswith(".whl") else "sdist"
    if not re.fullmatch(r"[\w.+!-]+", filename):
        raise Failed("select", f"{filename!r} is no name of a wheel or sdist", package.name)
    if kind == "sdist" and not filename.endswith(SDISTS):
        raise Failed("kind", f"{filename} is neither a wheel nor an sdist that can be built", package.name)
    version = str(package.version) if package.version else None
    if kind == "wheel":
        try:
            _, wheel_version, _, wheel_tags = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise Failed("select", str(error), package.name) from error
        if wheel_tags.isdisjoint(tags):
            raise Failed("select", f"{filename} is not for this Python and platform", package.name)
        version = version or str(wheel_version)
    row = {"name": package.name, "version": version or "0", "kind": kind, **where, "filename": filename,
           **sha256, **subdirectory(chosen, package)}
    index = origin(package, chosen, request)
    if index and url and not isinstance(chosen, PackageArchive):
        row["index"] = index
    return {**row, "size": chosen.size} if chosen.size is not None else row


def choose(lock, request):
    if request.get("hashes") is not None:
        lock = Pylock(**{**{field: getattr(lock, field) for field in (
            "lock_version", "environments", "requires_python", "extras", "dependency_groups", "default_groups",
            "created_by", "tool")}, "packages": allow_only(lock, request["hashes"])})
    tags = [tag for text in request["tags"] for tag in parse_tag(text)]
    known = set(tags)
    options = options_of(lock, request)
    try:
        chosen = list(lock.select(environment=request["markers"], tags=tags, **options))
    except PylockSelectError as error:
        check_platforms(lock, {**request["markers"], **options}, known)
        raise Failed("select", str(error)) from error
    there = {(package["name"], package["version"]) for package in request.get("installed") or ()}
    rows = [{**artifact(package, one, known, request), **elsewhere(package, one, known, request)} for package, one in chosen
            if (package.name, str(package.version)) not in there]
    return sorted(rows, key=lambda row: row["name"])


def elsewhere(package, chosen, tags, request):
    """What explains a source that can't be built here: that its wheels are all for other systems."""
    if chosen is not package.sdist:
        return {}
    lookup = request.get("universal")
    if not package.wheels and chosen.url and lookup:
        # A lock that uv made for one system leaves out the wheels of others.
        files = {**lookup["files"], "one.txt": f"{package.name}=={package.version}\n"}
        arguments = lookup["arguments"].get(package.name, lookup["arguments"][""])
        try:
            [package] = read_lock(run_uv({"files": files, "arguments": arguments}, False)).packages
        except (Failed, ValueError):
            return {}  # Nothing is known of it, and nothing depends on that.
    other = other_systems(package, tags)
    return {"otherSystems": other} if other else {}


def options_of(lock, request):
    """The lock's default groups, and what was asked for."""
    extras, groups, without = (request.get(key) or [] for key in ("extras", "groups", "withoutGroups"))
    for what, asked, known in (("extra", extras, lock.extras), ("group", [*groups, *without], lock.dependency_groups)):
        names = {canonicalize_name(name) for name in known or ()}
        for name in asked:
            if canonicalize_name(name) not in names:
                has = ", ".join(sorted(names)) or "none"
                raise Failed("option", f"it has no {what} {name!r}; it has {has}")
    return {"extras": frozenset(canonicalize_name(name) for name in extras),
            "dependency_groups": frozenset([*(lock.default_groups or ()), *map(canonicalize_name, groups)])
            - frozenset(map(canonicalize_name, without))}


# What a platform tag begins with, and the marker of its system.
SYSTEMS = {"win": ("Windows", "win32"), "macosx": ("macOS", "darwin"), "ios": ("iOS", "ios"), "android": ("Android", "android")}


def check_platforms(lock, environment, tags):
    """Names the package that has files for other systems only, and the marker that would exclude it here."""
    for package in lock.packages:
        if package.sdist or package.vcs or package.directory or package.archive:
            continue
        if package.marker and not package.marker.evaluate(environment, context="lock_file"):
            continue
        other = other_systems(package, tags)
        if other:
            message = f"version {package.version} has files for {other['names']} only, and no source; a marker would exclude it: {package.name} ; {other['marker']}"
            raise Failed("platform", message, package.name)


def other_systems(package, tags):
    """The systems that all wheels of a package are for, where this one is none of them, and the marker of those."""
    wheels = [parse_wheel_filename(wheel.filename)[-1] for wheel in package.wheels or ()]
    systems = {SYSTEMS.get(re.match("[a-z]*", tag.platform)[0]) for wheel in wheels for tag in wheel}
    if not systems or None in systems or not all(tags.isdisjoint(wheel) for wheel in wheels):
        return None
    return {"names": " and ".join(sorted(name for name, _ in systems)),
            "marker": " or ".join(f'sys_platform == "{platform}"' for _, platform in sorted(systems))}


def origin(package, chosen, request):
    """The index that a file came from. Locks by uv say its URL; the default one is known by no name of its own here."""
    url = getattr(chosen, "url", None) or ""
    is_default = (package.index or "").rstrip("/") == PyPI.simple_url.rstrip("/")
    if is_default and urlsplit(url).hostname == PyPI.file_storage_domain and request.get("uvLock"):
        return "default"
    return package.index or request.get("index")


def serve():
    served = 0
    for line in sys.stdin:
        request = json.loads(line)
        if not request:
            print("{}", flush=True)
            continue
        try:
            text = request.get("lock")
            if text is None:
                try:
                    text = run_uv(request, False)
                except Failed as error:
                    # What is remembered of the index may be minutes old. Never refuse a release by old knowledge.
                    if served == 0 or error.step != "uv":
                        raise
                    text = run_uv(request, True)
            text = with_project(text, request.get("project"))
            reply = {"text": text, "artifacts": choose(read_lock(text), request), "notes": request.get("notes", [])}
        except Failed as error:
            reply = {"failed": error.step, "message": str(error), "package": error.package}
        served += 1
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    serve()
