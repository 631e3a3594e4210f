"""Says what this Python is, as one line of JSON. Standard library only, Python 3.8 or later, any base image."""

import sys

# Before what older ones don't have is imported; they must be able to read the rest.
if sys.version_info < (3, 8):
    raise SystemExit("its python3 is Python {}.{}.{}, and 3.8 or later is needed".format(*sys.version_info[:3]))

import glob
import importlib.metadata
import json
import os
import platform
import re
import site
import struct
import subprocess
import sysconfig


def markers():
    """The environment of PEP 508, with the names and values of packaging.markers.default_environment()."""
    implementation = sys.implementation.version
    implementation_version = "{0.major}.{0.minor}.{0.micro}".format(implementation)
    if implementation.releaselevel != "final":
        implementation_version += implementation.releaselevel[0] + str(implementation.serial)
    full = platform.python_version()
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        # A development build says "3.13.0+", which is no version.
        "python_full_version": full + "local" if full.endswith("+") else full,
        "platform_python_implementation": platform.python_implementation(),
        "python_version": "{}.{}".format(*sys.version_info[:2]),
        "sys_platform": sys.platform,
    }


def libc():
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        return {"name": name, "version": version}
    except (AttributeError, OSError, ValueError):
        pass
    for loader in sorted(glob.glob("/lib/ld-musl-*.so.1")):
        # Without arguments musl's loader prints its version and fails.
        said = subprocess.run([loader], stderr=subprocess.PIPE, universal_newlines=True, timeout=10).stderr
        found = re.search(r"^Version (\d+\.\d+)", said, re.MULTILINE)
        if found:
            return {"name": "musl", "version": found.group(1)}
    return None


def architecture():
    machine = sysconfig.get_platform().replace(".", "_").replace("-", "_").split("_", 1)[1]
    if struct.calcsize("P") == 4:
        # A 32 bit Python on a 64 bit kernel.
        return {"x86_64": "i686", "aarch64": "armv8l"}.get(machine, machine)
    return machine


def platforms(c_library, arch):
    """Platform tags, best first. PEP 600 (manylinux), PEP 656 (musllinux)."""
    arches = ["armv8l", "armv7l"] if arch == "armv8l" else [arch]
    aliases = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
    for one in arches:
        yield "linux_" + one
    major, minor = (int(part) for part in c_library["version"].split(".")[:2])
    for one in arches:
        if c_library["name"] == "glibc":
            oldest = 5 if one in ("x86_64", "i686") else 17
            for number in range(minor, oldest - 1, -1):
                yield "manylinux_{}_{}_{}".format(major, number, one)
                if (major, number) in aliases:
                    yield "{}_{}".format(aliases[major, number], one)
        else:
            for number in range(minor, -1, -1):
                yield "musllinux_{}_{}_{}".format(major, number, one)


def tags(c_library, arch):
    """Wheel tags of a CPython, best first, in the order of packaging.tags.sys_tags()."""
    minor = sys.version_info[1]
    systems = list(platforms(c_library, arch))
    interpreter = "cp3{}".format(minor)
    threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    for abi in [interpreter + "t"] if threaded else [interpreter, "abi3"]:
        yield from ("-".join((interpreter, abi, system)) for system in systems)
    yield from ("-".join((interpreter, "none", system)) for system in systems)
    if not threaded:
        for older in range(minor - 1, 1, -1):
            yield from ("cp3{}-abi3-{}".format(older, system) for system in systems)
    generic = ["py3{}".format(minor), "py3"] + ["py3{}".format(older) for older in range(minor - 1, -1, -1)]
    for version in generic:
        yield from ("{}-none-{}".format(version, system) for system in systems)
    yield interpreter + "-none-any"
    yield from (version + "-none-any" for version in generic)


def site_packages():
    """The folders of installed packages, as a Python that is not isolated as this one (-I) looks through them."""
    known = {os.path.realpath(folder) for folder in site.getsitepackages()}
    folders = own_site() + [folder for folder in sys.path if os.path.realpath(folder) in known]
    return [folder for folder in folders if os.path.isdir(folder)]


def own_site():
    """Where the packages are that the image's user installed for himself; they don't count in a virtual environment."""
    if sys.prefix != sys.base_prefix or os.environ.get("PYTHONNOUSERSITE"):
        return []
    if not os.environ.get("HOME"):
        # Then it is what the system knows of the user.
        os.environ.pop("HOME", None)
    site.USER_BASE = site.USER_SITE = None
    return [site.getusersitepackages()]


def named_folders():
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(folder)]


def installed(folders):
    """What is installed; of a package that is there twice, what would be imported."""
    found = {}
    for distribution in importlib.metadata.distributions(path=folders):
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if name and version and re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII) and re.fullmatch(r"\w[\w.!+-]*", version, re.ASCII):
            name = re.sub(r"[-_.]+", "-", name).lower()
            found.setdefault(name, {"name": name, "version": version, "requires": distribution.requires or []})
    return sorted(found.values(), key=lambda row: row["name"])


def probe():
    if sys.implementation.name != "cpython" or not sys.platform.startswith("linux"):
        raise SystemExit("its Python is {} on {}; only CPython on Linux is supported".format(
            platform.python_implementation(), sys.platform))
    c_library = libc()
    if c_library is None:
        raise SystemExit("its C library is neither glibc nor musl")
    folders = site_packages()
    return {
        "markers": markers(),
        "tags": list(tags(c_library, architecture())),
        "version": "{}.{}.{}".format(*sys.version_info[:3]),
        "basePrefix": sys.base_prefix,
        "prefix": sys.prefix,
        "sitePackages": folders,
        "installed": installed(named_folders() + folders),
        "executable": os.path.realpath(sys.executable),
        "cacheTag": sys.implementation.cache_tag,
        "libc": c_library,
        "machine": platform.machine(),
        "user": "{}:{}".format(os.getuid(), os.getgid()),
    }


print(json.dumps(probe()))
