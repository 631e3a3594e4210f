"""Why uv would make a uv.lock anew, in terms of the lines of its projects, as far as uv says which."""

import posixpath
import re
import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from failed import Failed
from uv_project import projects_of, scopes_of

# How a uv.lock says that a requirement is for something else than a release from an index.
SOURCES = ("git", "url", "path", "directory", "editable", "virtual")
# What uv calls settings, and how projects write them.
SETTINGS = {
    "overrides": "override-dependencies", "build constraints": "build-constraint-dependencies",
    "constraints": "constraint-dependencies", "excludes": "exclude-dependencies", "static metadata": "dependency-metadata",
    "supported environments": "environments", "conflicting groups": "conflicts", "pre-release mode": "prerelease",
    "resolution mode": "resolution", "fork strategy": "fork-strategy", "exclude newer": "exclude-newer",
    "Python requirement": "requires-python",
}


def stale(reason, files, tables, lock_path):
    """The refusal. Its package is what the line at fault says: a requirement, or the name of a setting or source."""
    what, *shown = reason.split("\n")
    root = posixpath.join(posixpath.dirname(lock_path), "pyproject.toml")
    projects, lock = projects_of(tables), tomllib.loads(files[lock_path])
    if "members" in what and len(shown) == 2:
        # A lone project is no member of anything.
        there = [package["name"] for package in lock.get("package", [])]
        return other_members(*map(names_in, shown), there, projects, lock_path, root)
    if len(shown) == 2 and re.search("requirements|groups", what):
        named = re.search("for: `([^`=@ ]+)", what)
        path = next((path for path, content in projects.items() if named and is_called(content, named[1])), root)
        for name, moved in changed(*shown).items():
            return other_requirement(name, moved, path, projects[path], lock, lock_path)
    if "remote index" in what:
        name, url = re.findall("`([^`]+)`", what)[::2]
        return Failed("stale", f"{root} names another index than {url}, which {lock_path} has {name} from", "index")
    setting = next((key for words, key in SETTINGS.items() if words in what), None)
    if setting is not None:
        own = posixpath.join(posixpath.dirname(lock_path), "uv.toml")
        says = [path for path in (own, root, *projects) if re.search(rf"^\s*{setting}\s*=", files.get(path, ""), re.M)]
        path = (says or [root])[0]
        return Failed("stale", f"{path} has another value of {setting} than {lock_path} was made with", setting)
    return Failed("stale", f"{root} is newer than {lock_path}; uv says: {what}")


def is_called(content, name):
    return canonicalize_name(content.get("project", {}).get("name", "")) == canonicalize_name(name)


def names_in(text):
    return list(dict.fromkeys(re.findall(r'PackageName\("([^"]+)"\)', text)))


def changed(*shown):
    """Of two lists of requirements, as uv shows them: the packages of which they say different things, and whether it is where they come from."""
    one, other = ({row.split(", origin:")[0] for row in re.split(r"(?=Requirement \{)", text)[1:]} for text in shown)
    found = {}
    for row in sorted(one ^ other):
        [name] = names_in(row)[:1]
        sources = [{each.partition("source: ")[2] for each in rows if names_in(each)[0] == name} for rows in (one, other)]
        found[name] = sources[0] != sources[1]
    return found


def other_members(asked, locked, there, projects, lock_path, root):
    for path, content in projects.items():
        if any(is_called(content, name) for name in asked if name not in [*locked, *there]):
            return Failed("stale", f"{path} is a project of the workspace that {lock_path} does not have yet")
    gone = ", ".join(name for name in locked if name not in asked)
    why = f"{lock_path} has {gone}, no longer a member of it" if gone else f"its members are others than {lock_path} has"
    return Failed("stale", f"{root} has another workspace: {why}")


def other_requirement(name, moved, path, content, lock, lock_path):
    written = [(text, f" for {scope}" if scope else "") for scope, texts in scopes_of(content).items() for text in texts
               if canonicalize_name(Requirement(text).name) == name]
    rows = [row for row in rows_of(content, lock) if canonicalize_name(row["name"]) == name]
    known = [describe(row) for row in rows]
    if not written:
        return Failed("stale", f"{path} no longer asks for {known[0] if known else name}, and {lock_path} still has it")
    other = next((one for one in written if not any(is_same(Requirement(one[0]), row) for row in rows)), None)
    if other is None and moved:
        return Failed("stale", f"{path} asks for {name} from another source than {lock_path} was made with", f"tool.uv.sources.{name}")
    text, of = other or written[0]
    then = f"when it asked for {known[0]}" if known else "before it did"
    return Failed("stale", f"{path} asks for {text}{of}, and {lock_path} was made {then}", text)


def rows_of(content, lock):
    """What the lock says that a project asks for; of one that has no name, what the workspace does."""
    own = [package for package in lock.get("package", []) if is_called(content, package["name"])]
    metadata = own[0].get("metadata", {}) if own else lock.get("manifest", {})
    groups = metadata.get("requires-dev", {}) or metadata.get("dependency-groups", {})
    return [*metadata.get("requires-dist", []), *sum(groups.values(), [])]


def is_same(requirement, row):
    """But for markers, which uv writes in its own way."""
    extras = [{canonicalize_name(extra) for extra in names} for names in (requirement.extras, row.get("extras", []))]
    sourced = any(key in row for key in SOURCES)
    return extras[0] == extras[1] and (sourced or requirement.specifier == SpecifierSet(row.get("specifier", "")))


def describe(row):
    extras = f"[{','.join(row['extras'])}]" if row.get("extras") else ""
    marker = f" ; {row['marker']}" if row.get("marker") else ""
    return row["name"] + extras + row.get("specifier", "") + marker
