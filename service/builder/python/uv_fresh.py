"""Whether a uv.lock still fits its projects: uv itself judges, without asking anybody and without building anything."""

import posixpath
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from failed import Failed
from uv_project import projects_of
from uv_stale import stale
from write_toml import table

# What only a build backend may know of a project, where it says so.
BACKENDS = {"requires-python", "dependencies", "optional-dependencies"}
# uv compares the Python that it finds with `requires-python`, and runs nothing else in it. This one says it is the target's.
PYTHON = """#!{python} -I
import platform, sys
platform.python_version = lambda: "{version}"
platform.python_version_tuple = lambda: tuple("{version}".split("."))
exec(sys.argv[-1])
"""


def check_fresh(files, tables, lock_path, version):
    """Refuses a lock that "uv lock" would make anew for these projects.

    :param version: of the target's Python
    :returns: what the user should know
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            lock = tomllib.loads(files[lock_path])
            uv = settings(tables, lock_path)
            tree = {**files, **links(uv, lock_path), **readable(tables, lock_path, lock, folder)}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Failed("lock", f"it is not as uv writes it: {type(error).__name__}: {error}") from error
        done = judged(folder, tree, posixpath.dirname(lock_path), version, indexes(uv, lock))
        said = done.stderr.replace(folder + "/", "")
    if done.returncode == 0:
        return []
    reason = re.search(r"existing lockfile due to (.+(?:\n  (?:Requested|Existing): .+)*)", said)
    reason = reason or re.search("incompatible with the project's (Python requirement: .+)", said)
    if reason is not None:
        raise stale(reason[1], files, tables, lock_path)
    error = "\n".join(line for line in said.splitlines() if not re.match(r"(DEBUG|TRACE|INFO|Using|warning)\b", line))
    if not re.search(r"network was disabled|not found at|does not exist|No such file", error, re.I):
        raise Failed("uv", error)
    # Something that is not here counts after all.
    return [f"whether {lock_path} is as new as its projects is not known; uv says: {error}"]


def judged(folder, tree, project, version, options):
    """What uv says of a lock; only on stderr."""
    for path, text in tree.items():
        target = Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Which uv its users must have is their own business.
        target.write_text(re.sub(r"^\s*required-version\s*=.*$", "", text, flags=re.M), encoding="utf-8")
    python = Path(folder, ".meadow-python")
    python.write_text(PYTHON.format(python=sys.executable, version=version), encoding="utf-8")
    python.chmod(0o755)
    command = ["uv", "lock", "--check", "--offline", "--no-cache", "--no-python-downloads", "--color", "never", "-v",
               "--python-preference", "only-system", "--python", str(python), *options]
    return subprocess.run(command, cwd=Path(folder, project), capture_output=True, text=True, stdin=subprocess.DEVNULL)


def readable(tables, lock_path, lock, tree):
    """The lock and the projects without what can't be looked at here, as they are where the code is in the folder `tree`.

    These are files that are packages, and requirements that only a build backend knows. The version of a project counts
    for nothing: its code is taken as it is.
    """
    projects = projects_of(tables)
    members = {canonicalize_name(name) for name in lock.get("manifest", {}).get("members", [])}
    found = {}
    for package in lock.get("package", []):
        folder = folder_of(package)
        if folder is None:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(lock_path), folder, "pyproject.toml"))
        content = projects.get(path)
        if content is None and package["name"] in members:
            continue
        if content is None:
            package.pop("metadata", None)
            found[path] = stand_in(package, {"build-system": {"requires": []}}, {})
        elif needs_backend(content):
            python = content.get("project", {}).get("requires-python")
            found[path] = stand_in(package, content, {"requires-python": python})
            for key in ("requires-dist", "provides-extras"):
                package.get("metadata", {}).pop(key, None)
        elif "version" in content["project"]:
            package["version"] = content["project"]["version"]
        else:
            project = {key: value for key, value in content["project"].items() if key != "dynamic"}
            found[path] = stand_in(package, content, project)
    here_again(lock, posixpath.dirname(lock_path), tree)
    return {**found, lock_path: table(without_archives(lock))}


def folder_of(package):
    source = package.get("source", {})
    return source.get("editable") or source.get("virtual") or source.get("directory")


def needs_backend(content):
    project, poetry = content.get("project"), content.get("tool", {}).get("poetry", {})
    if project is None or not BACKENDS.isdisjoint(project.get("dynamic", [])):
        return True
    return "dependencies" not in project and "dependencies" in poetry


def stand_in(package, content, project):
    """A project that says all that uv has to know, and keeps what a pyproject.toml says to uv."""
    uv = content.get("tool", {}).get("uv")
    kept = {key: content[key] for key in ("build-system", "dependency-groups") if key in content}
    own = {**project, "name": package["name"], "version": package.setdefault("version", "0")}
    return table({"project": own, **kept, **({"tool": {"uv": uv}} if uv else {})})


def here_again(lock, folder, tree):
    """uv writes of folders that are indexes where they were on the machine that made the lock."""
    registries = {package["source"].get("registry", "") for package in lock.get("package", [])}
    inside = {posixpath.normpath(posixpath.join(folder, path)) for path in registries if not re.match("[a-z]+:", path)}
    for package in lock.get("package", []):
        metadata = package.get("metadata", {})
        for row in [*metadata.get("requires-dist", []), *sum(metadata.get("requires-dev", {}).values(), [])]:
            for path in inside:
                if row.get("index", "").startswith("file:") and unquote(row["index"]).endswith("/" + path):
                    row["index"] = Path(tree, path).as_uri()


def without_archives(lock):
    """uv would open them, and they are not here."""
    packages = lock.get("package", [])
    archives = {package["name"] for package in packages if "path" in package["source"]}

    def kept(rows):
        return [row for row in rows if row["name"] not in archives]

    found = []
    for package in packages:
        if "path" in package["source"]:
            continue
        if "dependencies" in package:
            package["dependencies"] = kept(package["dependencies"])
        for key in ("optional-dependencies", "dev-dependencies"):
            if key in package:
                package[key] = {scope: kept(rows) for scope, rows in package[key].items()}
        found.append(package)
    return {**lock, "package": found}


def settings(tables, lock_path):
    """What the root of a workspace says to uv, or `uv.toml` beside it instead."""
    folder = posixpath.dirname(lock_path)
    own = tables.get(posixpath.join(folder, "uv.toml"))
    if own is not None:
        return own
    return tables.get(posixpath.join(folder, "pyproject.toml"), {}).get("tool", {}).get("uv", {})


def indexes(uv, lock):
    """Those of the lock, where the project says nothing of its default one: people often name it in the settings of their machine."""
    if "index-url" in uv or any(index.get("default") for index in uv.get("index", [])):
        return []
    urls = dict.fromkeys(package["source"].get("registry", "") for package in lock.get("package", []))
    return [argument for url in urls if re.match("https?:", url) for argument in ("--index", url)]


def links(uv, lock_path):
    """Folders of the code that uv wants to see, by files in them."""
    paths = [posixpath.normpath(posixpath.join(posixpath.dirname(lock_path), link)) for link in uv.get("find-links", [])
             if not re.match("[a-z]+:", link)]
    return {posixpath.join(path, ".keep"): "" for path in paths if not path.startswith(("/", ".."))}
