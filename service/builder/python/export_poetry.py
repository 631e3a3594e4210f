"""Makes a pylock.toml of a poetry.lock, with poetry itself. Runs in the image that holds poetry.

poetry says which packages belong to the groups and extras, and under which markers; where their files are is asked of
the index at once for all, as poetry.lock does not say it. Nothing of the project is run.

Each line on stdin is a request and gets one line on stdout, until stdin ends; {} gets {}:
  {"files": {path: text}, "folder": where pyproject.toml and poetry.lock lie, "groups": [...], "withoutGroups": [...], "extras": [...],
   "python": "3.11.2", "index": url or absent}
-> {"text": pylock.toml, "notes": [...]}
-> {"failed": "poetry" | "stale" | "python" | "option" | "path" | "hash" | "select" | "index", "message": ..., "package": name or null}
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from poetry.core.packages.dependency_group import MAIN_GROUP

from failed import Failed
from poetry_index import DEFAULT
from poetry_project import chosen_extras, chosen_groups, chosen_packages, inside, read_project, write_project
from pylock_rows import git_urls, pylock, row_of

# Pages of the index that are asked for at the same time.
AT_ONCE = 16


def export(request, tree):
    folder = write_project(request, tree)
    poetry = read_project(folder, request)
    groups = chosen_groups(poetry.package, request["groups"], request["withoutGroups"])
    chosen = list(chosen_packages(poetry, groups, chosen_extras(poetry.package, request["extras"])))
    default = request.get("index") or DEFAULT
    notes, repositories = [], git_urls(poetry.locker)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        rows = list(threads.map(lambda one: row_of(*one, tree, repositories, default, notes), chosen))
    if poetry.is_package_mode and MAIN_GROUP in groups:
        where = {"path": inside(folder, tree, poetry.package.name), "editable": True}
        rows.append({"name": poetry.package.name, "directory": where})
    return {"text": pylock(rows), "notes": sorted(notes)}


def serve():
    for line in sys.stdin:
        request = json.loads(line)
        if not request:
            print("{}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as made:
            tree = os.path.realpath(made)
            try:
                reply = export(request, tree)
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
