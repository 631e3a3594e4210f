"""What a plain Python of this container looks through, for this one, which began isolated (-I)."""

import os
import re
import site
import sys


class PlainPath:
    """Completes sys.path by PYTHONPATH and by the packages that the user installed for himself (`pip install --user`)."""

    def __init__(self, isolated):
        self.isolated = isolated
        self.named, self.user_site = [], None
        sys.path = list(isolated)
        self.update()

    def update(self):
        """To be called again when variables, or the folder that it is in, may have changed."""
        named, user_site = from_variable(), own_site()
        if (named, user_site) == (self.named, self.user_site):
            return
        self.named, self.user_site = named, user_site
        sys.path = named + [folder for folder in self.isolated if folder not in named]
        if user_site:
            add_before_others(user_site)


def from_variable():
    value = os.environ.get("PYTHONPATH")
    return list(dict.fromkeys(map(os.path.abspath, value.split(os.pathsep)))) if value else []


def own_site():
    """The folder, where there is one and a plain Python would use it. As site.check_enableusersite() has it."""
    if os.environ.get("PYTHONNOUSERSITE") or os.getuid() != os.geteuid() or os.getgid() != os.getegid() or is_closed():
        return None
    # It remembers where they were.
    site.USER_BASE = site.USER_SITE = None
    folder = site.getusersitepackages()
    return folder if os.path.isdir(folder) else None


def is_closed():
    """Whether this is a virtual environment that sees nothing but its own packages."""
    if sys.prefix == sys.base_prefix:
        return False
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            return not re.search(r"(?im)^\s*include-system-site-packages\s*=\s*true\s*$", file.read())
    except OSError:
        return True


def add_before_others(user_site):
    """With what its .pth files say, before the packages that all users have."""
    length = len(sys.path)
    site.addsitedir(user_site)
    added = sys.path[length:]
    del sys.path[length:]
    shared = site.getsitepackages([sys.base_prefix])
    at = next((n for n, folder in enumerate(sys.path) if folder in shared), len(sys.path))
    sys.path[at:at] = added
