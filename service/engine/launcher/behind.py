"""Puts folders on Python's path behind what is installed, where they were on the machine of mirrored code (`.pth` files,
import hooks): before it, they could hide its modules. Every Python that a command starts imports this as
`sitecustomize`, when site-packages are on its path already."""

import os
import sys

NAME = "sitecustomize"
FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "site")
FOLDERS = "MEADOW_BEHIND"


def put_behind(folders):
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def environment_for(folders):
    """What PYTHONPATH begins with, for processes that are to have these folders behind: none where there are none."""
    if not folders:
        return []
    os.makedirs(FOLDER, exist_ok=True)
    link = os.path.join(FOLDER, NAME + ".py")
    if not os.path.lexists(link):
        os.symlink(os.path.realpath(__file__), link)
    os.environ[FOLDERS] = os.pathsep.join(folders)
    return [FOLDER]


def customize(here):
    sys.path[:] = [folder for folder in sys.path if folder != here]
    put_behind([folder for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder])
    # The image or the code may have one too.
    this = sys.modules.pop(NAME)
    try:
        __import__(NAME)
    except ImportError as error:
        if getattr(error, "name", NAME) != NAME:
            raise
    finally:
        sys.modules.setdefault(NAME, this)


if __name__ == NAME:
    customize(os.path.dirname(__file__))
