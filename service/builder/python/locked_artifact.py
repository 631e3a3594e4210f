"""What of a locked package is installed, as a row that the service reads."""

import posixpath
import re
from urllib.parse import unquote, urlsplit

from packaging.pylock import PackageArchive
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pip._internal.models.index import PyPI

from failed import Failed

# What build_wheel.py unpacks.
SDISTS = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")


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


def origin(package, chosen, request):
    """The index that a file came from. Locks by uv say its URL; the default one is known by no name of its own here."""
    url = getattr(chosen, "url", None) or ""
    is_default = (package.index or "").rstrip("/") == PyPI.simple_url.rstrip("/")
    if is_default and urlsplit(url).hostname == PyPI.file_storage_domain and request.get("uvLock"):
        return "default"
    return package.index or request.get("index")
