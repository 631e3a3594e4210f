"""Makes a pylock.toml of a poetry.lock, with poetry itself. Runs in the image that holds poetry.

poetry says which packages belong to the groups and extras, and under which markers; where their files are is asked of
the index at once for all, as poetry.lock does not say it. Nothing of the project is run.

Each line on stdin is a request and gets one line on stdout, until stdin ends:
  {"files": {path: text}, "folder": where pyproject.toml and poetry.lock lie, "groups": [...], "withoutGroups": [...], "extras": [...],
   "python": "3.11.2", "index": url or absent}
-> {"text": pylock.toml, "notes": [...]}
-> {"failed": "poetry" | "stale" | "python" | "option" | "path" | "hash" | "select" | "index", "message": ..., "package": name or null}
"""

import json
import os
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from poetry.config.config import Config
from poetry.core.constraints.version import Version
from poetry.core.packages.dependency_group import MAIN_GROUP
from poetry.core.packages.utils.utils import create_nested_marker
from poetry.core.version.markers import parse_marker
from poetry.factory import Factory
from poetry.repositories.exceptions import PackageNotFoundError
from poetry.repositories.legacy_repository import LegacyRepository
from poetry.repositories.link_sources.json import SimpleJsonPage
from poetry.repositories.pypi_repository import PyPiRepository
from poetry_plugin_export.walker import get_project_dependency_packages, get_project_dependency_packages2

from failed import Failed

# Pages of the index that are asked for at the same time.
AT_ONCE = 16


class Reader(Factory):
    """Reads a project. Which poetry its users must have is their own business: nothing is written here."""

    @classmethod
    def _ensure_valid_poetry_version(cls, cwd):
        pass


class Index:
    """Pages of an index, each asked for once; again where a file that a lock knows isn't on it."""

    known = {}

    def __init__(self, url):
        self.url = url
        self.pages = {}
        self.client = LegacyRepository("index", url, config=Config.create(), disable_cache=True)

    @classmethod
    def at(cls, url):
        return cls.known.setdefault(url, cls(url))

    def links(self, package):
        """The links of this version, by the name of the file."""
        wanted = {file["file"] for file in package.files}
        for fresh in (False, True):
            if fresh or package.name not in self.pages:
                try:
                    self.pages[package.name] = self.client._get_page(package.name)
                except PackageNotFoundError as error:
                    raise Failed("select", f"it is not on the index {shown(self.url)}, or that does not show it without "
                                 "credentials", package.name) from error
                except Exception as error:
                    # Of several libraries below each other, each with errors of its own.
                    raise Failed("index", f"the index {shown(self.url)} gives no answer: {error}", package.name) from error
            found = links_of(self.pages[package.name], package, wanted)
            if wanted <= found.keys():
                break
        return found


def links_of(page, package, wanted):
    if isinstance(page, SimpleJsonPage):
        # poetry would first read a name and a version out of every file of every release.
        return {file["filename"]: page._make_link(file) for file in page.content["files"] if file["filename"] in wanted}
    return {link.filename: link for link in page.links_for_version(package.name, package.version)}


def shown(url):
    """Without credentials, and the default index by no address."""
    if url == PyPiRepository().url:
        return "that poetry asks by default"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def read_project(folder, request):
    poetry = Reader().create_poetry(folder, disable_plugins=True, disable_cache=True)
    if not poetry.locker.is_fresh():
        raise Failed("stale", "pyproject.toml changed significantly since poetry.lock was last generated. "
                     "Run `poetry lock` to fix the lock file.")
    if not poetry.package.python_constraint.allows(Version.parse(request["python"])):
        raise Failed("python", f"Current Python version ({request['python']}) is not allowed by the project "
                     f"({poetry.package.python_versions}).")
    return poetry


def chosen_groups(package, asked, without):
    """As `poetry install` does: all that are not optional, and those asked for; with "main" among them, only those."""
    asked, without = ({canonicalize_name(group) for group in groups} for groups in (asked, without))
    known = package.dependency_group_names(include_optional=True) | {MAIN_GROUP}
    for option, groups in (("groups", asked), ("without-groups", without)):
        if unknown := sorted(groups - known):
            raise Failed("option", f"{option}: {', '.join(unknown)} not found; the project has {', '.join(sorted(known))}")
    return (asked if MAIN_GROUP in asked else asked | package.dependency_group_names() | {MAIN_GROUP}) - without


def chosen_extras(package, asked):
    asked = {canonicalize_name(extra) for extra in asked}
    if unknown := sorted(asked - package.extras.keys()):
        raise Failed("option", f"extras: {', '.join(unknown)} not found; "
                     f"the project has {', '.join(sorted(package.extras)) or 'none'}")
    return asked


def chosen_packages(poetry, groups, extras):
    """Each locked package that may be installed, with the marker under which it is."""
    locker, root = poetry.locker, poetry.package
    if locker.is_locked_groups_and_markers():
        for one in get_project_dependency_packages2(locker, groups=groups, extras=extras):
            yield one.package, one.package.marker
        return
    # Older locks don't say what belongs to which group, so poetry walks from the project's own dependencies.
    markers = {}
    walked = get_project_dependency_packages(
        locker,
        project_requires=root.with_dependency_groups(groups, only=True).all_requires,
        root_package_name=root.name,
        project_python_marker=parse_marker(create_nested_marker("python_version", root.python_constraint)),
        extras=extras,
    )
    for one in walked:
        package = one.package.without_features()
        known = markers.get(package)
        markers[package] = known.union(one.dependency.marker) if known else one.dependency.marker
    yield from markers.items()


def inside(path, tree, name):
    relative = os.path.relpath(path, tree).replace(os.sep, "/")
    if relative == ".." or relative.startswith("../"):
        raise Failed("path", f"its path leads out of the repository: {relative}", name)
    return relative


def hashes(file, name):
    algorithm, _, digest = file["hash"].rpartition(":")
    if algorithm != "sha256":
        raise Failed("hash", f"the hash of {file['file']} is {algorithm or 'of no kind'}, not sha256", name)
    return {"sha256": digest}


def released(package, index, notes):
    """The files of a release, with their addresses."""
    if not package.files:
        raise Failed("hash", "poetry.lock has no files of it", package.name)
    links = index.links(package)
    files = []
    for file in package.files:
        link = links.get(file["file"])
        if link is None:
            continue
        row = {"name": file["file"], "url": link.url_without_fragment, "hashes": hashes(file, package.name)}
        said = link.hashes.get("sha256")
        if said and said != row["hashes"]["sha256"]:
            raise Failed("hash", f"{file['file']} has sha256 {said} on the index, and "
                         f"{row['hashes']['sha256']} in poetry.lock", package.name)
        files.append({**row, "size": link.size} if link.size is not None else row)
    if not files:
        raise Failed("select", f"none of the files of {package.version} that poetry.lock names is on the index "
                     f"{shown(index.url)}", package.name)
    if all(link.yanked for link in links.values()):
        reasons = {link.yanked_reason for link in links.values() if link.yanked_reason}
        notes.append(f"{package.name} {package.version} was yanked: {'; '.join(reasons) or 'no reason is given'}")
    wheels = [file for file in files if file["name"].endswith(".whl")]
    sdists = [file for file in files if not file["name"].endswith(".whl")]
    return {**({"sdist": sdists[0]} if sdists else {}), **({"wheels": wheels} if wheels else {})}


def git_urls(locker):
    """The repositories of git dependencies as they are written: poetry's own spelling of some is no URL."""
    packages = [package for package in locker.lock_data["package"] if package.get("source", {}).get("type") == "git"]
    return {(canonicalize_name(package["name"]), package["source"]["resolved_reference"]): package["source"]["url"]
            for package in packages}


def source(package, tree, repositories):
    """What a package comes from that is of no index; None for one that is."""
    where = {"subdirectory": package.source_subdirectory} if package.source_subdirectory else {}
    match package.source_type:
        case "directory":
            path = inside(package.source_url, tree, package.name)
            return {"directory": {"path": path, "editable": bool(package.develop), **where}}
        case "git":
            url = repositories[package.name, package.source_resolved_reference]
            return {"vcs": {"type": "git", "url": url, "requested-revision": package.source_reference,
                            "commit-id": package.source_resolved_reference, **where}}
        case "file":
            path = inside(package.source_url, tree, package.name)
            return {"archive": {"path": path, "hashes": hashes(package.files[0], package.name), **where}}
        case "url":
            of = hashes(package.files[0], package.name)
            return {"archive": {"url": package.source_url, "hashes": of, **where}}
    return None


def row_of(package, marker, tree, repositories, default, notes):
    row = {"name": package.name, "version": str(package.version)}
    if not marker.is_any():
        row["marker"] = str(marker)
    if (own := source(package, tree, repositories)) is not None:
        if "directory" in own:
            # Its code may say another by now.
            del row["version"]
        return {**row, **own}
    url = package.source_url
    return {**row, **({"index": url} if url else {}), **released(package, Index.at(url or default), notes)}


def toml(value):
    """A value as TOML. tomlkit, which keeps what people wrote, takes seconds for a lock of sixty packages."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml(one)},\n" for one in value) + "]"
    # JSON's strings are TOML's, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def pylock(rows):
    head = 'lock-version = "1.0"\ncreated-by = "poetry-plugin-export"\n'
    tables = ("\n[[packages]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in row.items()) for row in rows)
    return head + "".join(tables) if rows else head + "packages = []\n"


def write_project(request, tree):
    """The project's files, and something in the place of each local dependency: poetry looks whether it is a folder."""
    for path, text in request["files"].items():
        target = Path(tree, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    folder = Path(tree, request["folder"])
    for package in tomllib.loads(Path(folder, "poetry.lock").read_text(encoding="utf-8")).get("package", []):
        origin = package.get("source", {})
        if origin.get("type") in ("directory", "file"):
            target = Path(tree, inside(Path(folder, origin["url"]), tree, package["name"]))
            (target if origin["type"] == "directory" else target.parent).mkdir(parents=True, exist_ok=True)
            if origin["type"] == "file":
                target.touch()
    return folder


def export(request, tree):
    folder = write_project(request, tree)
    poetry = read_project(folder, request)
    groups = chosen_groups(poetry.package, request["groups"], request["withoutGroups"])
    chosen = list(chosen_packages(poetry, groups, chosen_extras(poetry.package, request["extras"])))
    default = request.get("index") or PyPiRepository().url
    notes, repositories = [], git_urls(poetry.locker)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        rows = list(threads.map(lambda one: row_of(*one, tree, repositories, default, notes), chosen))
    if poetry.is_package_mode and MAIN_GROUP in groups:
        where = {"path": inside(folder, tree, poetry.package.name), "editable": True}
        rows.append({"name": poetry.package.name, "directory": where})
    return {"text": pylock(rows), "notes": sorted(notes)}


def serve():
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as made:
            tree = os.path.realpath(made)
            try:
                reply = export(json.loads(line), tree)
            except Failed as error:
                reply = {"failed": error.step, "message": str(error), "package": error.package}
            except Exception as error:
                # The files are anybody's, and poetry has no one class for what it finds wrong with them.
                known = isinstance(error, (RuntimeError, ValueError))
                said = str(error) if known else f"poetry can't read it ({type(error).__name__}: {error})"
                reply = {"failed": "poetry", "message": said, "package": None}
            if "failed" in reply:
                reply["message"] = reply["message"].replace(tree + "/", "")
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    serve()
