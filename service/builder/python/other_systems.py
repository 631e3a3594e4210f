"""Wheels for other systems than the one that a lock is made for."""

import re

from packaging.utils import parse_wheel_filename

from failed import Failed

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
