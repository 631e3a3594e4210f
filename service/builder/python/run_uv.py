"""A pylock.toml by uv."""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import unquote

from pip._internal.models.index import PyPI

import image_packages
from failed import Failed
from uv_fresh import check_fresh
from uv_project import check_requirements


def remember_index(arguments, folder):
    """Settings for the index that uv asks by itself, where no other takes its place: what it says holds for ten minutes."""
    config = Path(folder, arguments[arguments.index("--config-file") + 1])
    text = config.read_text(encoding="utf-8")
    if not any(index.get("default") for index in tomllib.loads(text).get("index", [])):
        config.write_text(
            f'{text}\n[[index]]\nurl = "{PyPI.simple_url}"\ndefault = true\n'
            'cache-control = { api = "max-age=600", files = "max-age=365000000, immutable" }\n',
            encoding="utf-8",
        )


def run_uv(request, fresh, limit=None):
    """The pylock.toml that uv makes of the request's files; within so many seconds, where there is a limit."""
    with tempfile.TemporaryDirectory() as folder:
        check_requirements(request.get("tables", {}))
        for path, text in request["files"].items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        remember_index(request["arguments"], folder)
        # An export takes a lock as it is; what the image has of it is left out when it is chosen from.
        on_image = [] if request.get("uvLock") else image_packages.arguments(request.get("installed") or [], tempfile.mkdtemp(dir=folder))
        command = ["uv", *request["arguments"], *on_image, "--python", sys.executable, *(["--refresh"] if fresh else [])]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise Failed("index", f"there was no answer within {error.timeout:.0f} seconds") from error
        # Only of a lock that uv can read, and before a group that it does not have yet is called missing.
        unknown = []
        if request.get("uvLock") and (done.returncode == 0 or "is not defined in" in done.stderr):
            unknown = check_fresh(request["files"], request["tables"], request["uvLock"], request["markers"]["python_full_version"])
        if done.returncode == 0:
            # A release that was yanked, for one.
            warnings = re.findall(r"^warning: (.+)$", done.stderr.replace(folder + "/", ""), re.M)
            request["notes"] = [*warnings, *unknown]
            return relative(done.stdout, folder)
        raise Failed("uv", done.stderr.replace(folder + "/", ""))


def relative(text, folder):
    """A lock by uv without the folder that it was made in: some of its paths are absolute, some are URLs."""
    url = re.compile(f'url = "file://{re.escape(folder)}/([^"]*)"')
    text = url.sub(lambda found: f'path = "{unquote(found[1])}"', text).replace(f'path = "{folder}"', 'path = "."')
    return text.replace(f'path = "{folder}/', 'path = "')
