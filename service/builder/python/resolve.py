"""Makes locks: runs uv, and chooses from a pylock.toml what one environment installs. Runs in the builder image.

Each line on stdin is a request and gets one line on stdout, until stdin ends; {} gets {}:
  {"files": {path: text}, "arguments": [of uv], "lock": text}  one of arguments (to make the lock) and lock
  "tables": {path: {...}}                                       what of the files is TOML, read: uv takes more than Python's reader
  "markers": {...}, "tags": [...]                               of the environment
  "hashes": {name: [sha256, ...]} or null                       what the user's own hashes allow
  "index": url                                                  where files came from whose origin the lock leaves out
  "folder": path                                                where the lock lies in the code tree; its paths begin there
  "extras": [...], "groups": [...], "withoutGroups": [...]      to be chosen from a lock that has them
  "uvLock": path                                                of a uv.lock among the files that must not be stale
  "installed": [{"name", "version", "requires"}]                what the image has already, which no lock needs to hold
  "universal": {"files": {path: text}, "arguments": {name: [of uv]}}  to look up the wheels of "one.txt" for any system
  "project": {"name", "folder"}                                 to be added to the lock, editable
-> {"text": pylock.toml, "artifacts": [...], "notes": [what uv warns of]}
-> {"failed": step, "message": ..., "package": name or null}    the steps are those of RefusedStep
Another question, with an answer of its own, is that of yanked.py.
"""

import json
import os
import sys
import tomllib
from pathlib import Path

from choose import choose, read_lock
from failed import Failed
from run_uv import run_uv
from uv_project import with_project
from yanked import yanked


def serve():
    served = 0
    for line in sys.stdin:
        request = json.loads(line)
        if not request:
            print("{}", flush=True)
            continue
        if "releases" in request:
            print(json.dumps(yanked(request)), flush=True)
            continue
        try:
            text = request.get("lock")
            if text is None:
                try:
                    text = run_uv(request, False)
                except Failed as error:
                    # What is remembered of the index may be minutes old. Never refuse a release by old knowledge.
                    if served == 0 or error.step != "uv":
                        raise
                    text = run_uv(request, True)
            text = with_project(text, request.get("project"))
            reply = {"text": text, "artifacts": choose(read_lock(text), request), "notes": request.get("notes", [])}
        except Failed as error:
            reply = {"failed": error.step, "message": str(error), "package": error.package}
        except tomllib.TOMLDecodeError as error:
            reply = {"failed": "lock", "message": f"it is no TOML: {error}", "package": None}
        served += 1
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    serve()
