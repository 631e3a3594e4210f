"""What one environment installs of a pylock.toml."""

import re
import tomllib

from packaging.pylock import Package, Pylock, PylockSelectError, PylockValidationError
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from failed import Failed
from locked_artifact import artifact
from other_systems import check_platforms, other_systems
from run_uv import run_uv


def read_lock(text):
    try:
        return Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError, RecursionError) as error:
        raise Failed("lock", str(error)) from error


def allow_only(lock, hashes):
    """Leaves of every package the files whose hash the user wrote down."""
    packages = []
    for package in lock.packages:
        allowed = [*hashes.get(package.name, ()), *(hashes.get("", ()) if package.archive else ())]
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
        raise not_selected(lock, str(error)) from error
    there = {(package["name"], package["version"]) for package in request.get("installed") or ()}
    rows = [{**artifact(package, one, known, request), **elsewhere(package, one, known, request)} for package, one in chosen
            if (package.name, str(package.version)) not in there]
    return sorted(rows, key=lambda row: row["name"])


def not_selected(lock, message):
    """The refusal, with the package that the message names; its number says nothing where no other is called so."""
    named = re.search(r"(?:package|name) '([^']+)'", message)
    if named is None:
        return Failed("select", message)
    if sum(package.name == named[1] for package in lock.packages) == 1:
        message = re.sub(r" for package '[^']+' at packages\[\d+\]", "", message)
    return Failed("select", message, named[1])


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
