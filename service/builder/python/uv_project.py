"""What pyproject.toml files say: whether it is well formed, and whether a uv.lock still fits it."""

import json
import posixpath
import tomllib

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from failed import Failed

# How a uv.lock says that a requirement is for something else than a release from an index.
SOURCES = ("git", "url", "path", "directory", "editable", "virtual")


def projects_of(files):
    """The pyproject.toml files by their path."""
    return {path: tomllib.loads(text) for path, text in files.items() if posixpath.basename(path) == "pyproject.toml"}


def scopes_of(content):
    """The requirements of a project as they are written, by what asks for them: itself, an extra or a group."""
    project = content.get("project", {})
    found = {"": project.get("dependencies", [])}
    for extra, texts in project.get("optional-dependencies", {}).items():
        found["extra " + canonicalize_name(extra)] = texts
    groups = {canonicalize_name(name): texts for name, texts in content.get("dependency-groups", {}).items()}
    for group in groups:
        found["group " + group] = members(groups, group, ())
    return found


def members(groups, name, within):
    """A group's requirements, those of the groups that it includes among them."""
    if name in within:
        return []
    found = []
    for one in groups.get(name, []):
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict) and isinstance(one.get("include-group"), str):
            found += members(groups, canonicalize_name(one["include-group"]), (*within, name))
    return found


def check_requirements(files):
    """uv takes a project whose requirements it can't read for one that only its build backend knows."""
    for path, content in projects_of(files).items():
        for texts in scopes_of(content).values():
            for text in texts:
                try:
                    Requirement(text)
                except InvalidRequirement as error:
                    raise Failed("requirement", f"{path} asks for {text!r}: {error}", text) from error


def check_fresh(files, lock_path, markers):
    """Compares what the projects ask for on this target with what the lock was made for.

    uv's own check is not asked: it also calls a lock stale that an older uv made, or that names another index.
    """
    try:
        lock = tomllib.loads(files[lock_path])
    except tomllib.TOMLDecodeError:
        return  # uv says it better.
    try:
        local = {posixpath.normpath(posixpath.join(posixpath.dirname(lock_path), folder, "pyproject.toml")): package
                 for package in lock.get("package", []) for folder in [folder_of(package)] if folder}
        for path, content in projects_of(files).items():
            project = content.get("project", {})
            if "name" in project and path not in local:
                raise Failed("stale", f"{path} is a project of the workspace that {lock_path} does not have yet")
            if path in local and "dependencies" not in project.get("dynamic", []):
                compare(path, lock_path, content, local[path].get("metadata", {}), markers)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Failed("lock", f"it is not as uv writes it: {type(error).__name__}: {error}") from error


def folder_of(package):
    source = package.get("source", {})
    return source.get("editable") or source.get("virtual") or source.get("directory")


def compare(path, lock_path, content, metadata, markers):
    written = scopes_of(content)
    required = metadata.get("requires-dist", [])
    groups = {canonicalize_name(name): rows for name, rows in metadata.get("requires-dev", {}).items()}
    sourced = {canonicalize_name(row["name"]) for row in [*required, *sum(groups.values(), [])] if any(key in row for key in SOURCES)}
    for scope, texts in written.items():
        extra = scope.removeprefix("extra ") if scope.startswith("extra ") else ""
        environment = {**markers, "extra": extra}
        if scope.startswith("group "):
            rows = groups.get(scope.removeprefix("group "), [])
        else:
            rows = required
            texts = [*written[""], *texts] if extra else texts
        asked = {key_of(one, sourced): text for text in texts for one in [Requirement(text)] if applies(one.marker, environment)}
        locked = {locked_key(row, sourced): row for row in rows if applies(row.get("marker"), environment)}
        of = f" for {scope}" if scope else ""
        for key, text in asked.items():
            if key not in locked:
                was = [describe(row) for row in locked.values() if canonicalize_name(row["name"]) == key[0]]
                then = f"when it asked for {was[0]}" if was else "before it did"
                raise Failed("stale", f"{path} asks for {text}{of}, and {lock_path} was made {then}", text)
        for key, row in locked.items():
            if key not in asked:
                raise Failed("stale", f"{path} no longer asks for {describe(row)}{of}, and {lock_path} still has it")


def applies(marker, environment):
    return marker is None or Marker(str(marker)).evaluate(environment)


def key_of(requirement, sourced):
    name = canonicalize_name(requirement.name)
    extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
    return name, extras, None if name in sourced or requirement.url else requirement.specifier


def locked_key(row, sourced):
    name = canonicalize_name(row["name"])
    extras = frozenset(canonicalize_name(extra) for extra in row.get("extras", []))
    return name, extras, None if name in sourced else SpecifierSet(row.get("specifier", ""))


def describe(row):
    extras = f"[{','.join(row['extras'])}]" if row.get("extras") else ""
    marker = f" ; {row['marker']}" if row.get("marker") else ""
    return row["name"] + extras + row.get("specifier", "") + marker


def with_project(text, project):
    """A lock that installs the project too, from its folder."""
    if project is None or canonicalize_name(project["name"]) in packages_of(text):
        return text
    entry = f"name = {json.dumps(project['name'])}\ndirectory = {{ path = {json.dumps(project['folder'])}, editable = true }}\n"
    return text.replace("\npackages = []\n", "\n", 1).rstrip("\n") + f"\n\n[[packages]]\n{entry}"


def packages_of(text):
    return {canonicalize_name(package["name"]) for package in tomllib.loads(text).get("packages", [])}
