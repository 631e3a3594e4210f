"""Locked packages of poetry as those of a pylock.toml."""

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from failed import Failed
from poetry_index import Index, shown
from poetry_project import inside
from write_toml import table

# What is built where a release has nothing that is called as the standard has it; build_wheel.py unpacks them.
SOURCES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")


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
    return chosen_files(package, files)


def chosen_files(package, files):
    """Those of a release that a pylock.toml may name: it is refused as a whole for the name of one old file."""
    release = (package.name, Version(str(package.version)))
    wheels = [file for file in files if release_of(file, parse_wheel_filename) == release]
    sdists = [file for file in files if release_of(file, parse_sdist_filename) == release]
    if wheels or sdists:
        return {**({"sdist": sdists[0]} if sdists else {}), **({"wheels": wheels} if wheels else {})}
    for file in files:
        if file["name"].endswith(SOURCES):
            return {"archive": {key: value for key, value in file.items() if key != "name"}}
    names = ", ".join(file["name"] for file in files)
    raise Failed("kind", f"version {package.version} has neither a wheel nor a source that can be built: {names}", package.name)


def release_of(file, parse):
    """The package and version that a file's name says; None where it is no such name."""
    try:
        return parse(file["name"])[:2]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


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
        if "vcs" in own and package.develop:
            notes.append(f"{package.name}: its code is that of the locked commit, whatever develop = true says: there is no checkout to point into")
        return {**row, **own}
    url = package.source_url
    return {**row, **({"index": url} if url else {}), **released(package, Index.at(url or default), notes)}


def pylock(rows):
    head = 'lock-version = "1.0"\ncreated-by = "poetry-plugin-export"\n'
    tables = ("\n[[packages]]\n" + table(row) for row in rows)
    return head + "".join(tables) if rows else head + "packages = []\n"
