"""Programs of packages in the code: their installer wrote them on the machine that the code comes from, and for it."""

import os
import sys

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin")
KINDS = ("console_scripts", "gui_scripts")


def write_programs(sys_path):
    """Writes those that packages in these folders say they have; gives the folder with them, None where there are none."""
    found = {}
    for name, target in (program for folder in sys_path for program in programs_in(folder)):
        found.setdefault(name, target)
    if not found:
        return None
    os.makedirs(FOLDER, exist_ok=True)
    for name, target in found.items():
        with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
            file.write(text_of(*target))
        os.chmod(file.name, 0o755)
    return FOLDER


def text_of(module, function):
    first = function.split(".")[0]
    return f"#!{sys.executable}\nimport sys\nfrom {module} import {first}\nsys.exit({function}())\n"


def programs_in(folder):
    """Names with modules and functions, as installers wrote them: `[console_scripts]`, then `name = module:function`."""
    for info in sorted(listed(folder)):
        if not info.endswith((".dist-info", ".egg-info")):
            continue
        kind = None
        for line in lines_of(os.path.join(folder, info, "entry_points.txt")):
            if line.startswith("["):
                kind = line.strip("[] ")
            name, _, target = map(str.strip, line.partition("="))
            module, _, function = map(str.strip, target.partition("[")[0].partition(":"))
            if kind in KINDS and name == os.path.basename(name) and module and function:
                yield name, (module, function)


def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []  # Python takes it for empty too


def lines_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []  # it has no programs
