"""What of a lock was yanked from its index (PEP 592), where the lock does not say it: uv warns of it when it looks the release up.

{"releases": [{"name", "version", "url", "index": url, "default" or absent}], "arguments": [of uv], "limit": seconds}
-> {"yanked": [{"name", "text": in uv's words}], "unknown": [{"names": [...], "why": ...}]}
"""

import re
import time
from urllib.parse import urlsplit

from packaging.utils import is_normalized_name
from packaging.version import InvalidVersion, Version
from pip._internal.models.index import PyPI

from failed import Failed
from run_uv import run_uv

# What an index says may be long.
MOST_CHARACTERS = 300


def yanked(request):
    found = {"yanked": [], "unknown": []}
    end = time.monotonic() + request["limit"]
    for index, names in by_index(request["releases"]).items():
        look_up(names, [*request["arguments"], "--default-index", index], end, found)
    return found


def by_index(releases):
    """Names with their versions; by the URL of the index that has them, where that is known."""
    known = {}
    for release in filter(can_be_asked, releases):
        index = release.get("index")
        if index == "default" or (index is None and urlsplit(release["url"]).hostname == PyPI.file_storage_domain):
            index = PyPI.simple_url
        if index is not None:
            known.setdefault(index, {})[release["name"]] = Version(release["version"])
    return known


def can_be_asked(release):
    """Some locks are no more than YAML: what no index can have must not become an option of uv's."""
    try:
        Version(release["version"])
    except InvalidVersion:
        return False
    return is_normalized_name(release["name"])


def look_up(names, arguments, end, found):
    pins = "".join(f"{name}=={version}\n" for name, version in names.items())
    request = {"files": {"pins.txt": pins}, "arguments": arguments}
    try:
        run_uv(request, False, max(end - time.monotonic(), 0))
    except Failed as error:
        # One that the index has no more is all that uv speaks of then: it is parted from the others.
        if "No solution found" in str(error) and len(names) > 1:
            items = list(names.items())
            for half in (items[:len(items) // 2], items[len(items) // 2:]):
                look_up(dict(half), arguments, end, found)
        else:
            found["unknown"].append({"names": list(names), "why": one_line(str(error).removeprefix("error: "))})
        return
    for note in request["notes"]:
        if of := re.match(r"`([\w.-]+)==[^`]+` is yanked", note):
            found["yanked"].append({"name": of[1], "text": one_line(note)})


def one_line(text):
    """What came from an index, as people may be shown it."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:MOST_CHARACTERS]
