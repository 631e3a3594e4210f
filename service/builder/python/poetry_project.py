"""A project of poetry: its files, and what of its lock is to be installed."""

import os
import tomllib
from pathlib import Path

from packaging.utils import canonicalize_name
from poetry.core.constraints.version import Version
from poetry.core.packages.dependency_group import MAIN_GROUP
from poetry.core.packages.utils.utils import create_nested_marker
from poetry.core.version.markers import parse_marker
from poetry.factory import Factory
from poetry_plugin_export.walker import get_project_dependency_packages, get_project_dependency_packages2

from failed import Failed


class Reader(Factory):
    """Reads a project. Which poetry its users must have is their own business: nothing is written here."""

    @classmethod
    def _ensure_valid_poetry_version(cls, cwd):
        pass

    @classmethod
    def validate(cls, toml_data, strict=False):
        """Without sources: older versions wrote them in other words, and the lock says where each package is from."""
        poetry = toml_data.get("tool", {}).get("poetry", {})
        sources = poetry.pop("source", None)
        try:
            # It also writes defaults into the table.
            return super().validate(toml_data, strict)
        finally:
            if sources is not None:
                poetry["source"] = sources

    @classmethod
    def create_pool(cls, config, sources=(), io=None, disable_cache=False):
        return super().create_pool(config, (), io, disable_cache)


def inside(path, tree, name):
    relative = os.path.relpath(path, tree).replace(os.sep, "/")
    if relative == ".." or relative.startswith("../"):
        raise Failed("path", f"its path leads out of the repository: {relative}", name)
    return relative


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
