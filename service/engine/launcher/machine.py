"""What the launcher asks of Linux."""

import ctypes
import errno
import os
import signal

PR_SET_DUMPABLE = 4


def read(fd, most=65536):
    """Some bytes, b"" at the end, None where there is nothing yet."""
    try:
        return os.read(fd, most)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno != errno.EIO:
            complain(f"cannot read: {error}")
        return b""


def complain(text):
    try:
        os.write(2, f"launcher: {text}\n".encode(errors="replace"))
    except OSError:
        pass  # nobody reads


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def kill_all(group):
    """Everything in the container but this process, what left its process group too."""
    try:
        if os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(group, signal.SIGKILL)
    except OSError:
        pass  # nobody is left


def oom_kills():
    """How many processes the kernel has killed in here for want of memory."""
    # The second is version 1 of control groups, since Linux 4.13.
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                return int(dict(line.split() for line in file)["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0


def prefer_as_victim():
    """Where memory runs out, the user's processes go before the launcher, which has to tell of it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass  # then the biggest goes, which is the user's as a rule


def set_dumpable(value):
    """Whether processes of the same user may look into this one and write to its files through /proc."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(value), 0, 0, 0)
    except (OSError, AttributeError):
        pass  # another libc; the service doesn't believe frames anyway


def ensure_home():
    home = os.environ.get("HOME", "/")
    if home == "/" or not os.access(home, os.W_OK):
        os.environ["HOME"] = "/tmp/home"
        try:
            os.makedirs("/tmp/home", exist_ok=True)
        except OSError as error:
            complain(f"no home folder: {error}")


def nameless_file():
    """An open file that no path leads to."""
    failure = None
    for folder in ("/tmp", "/var/tmp", os.environ.get("HOME", "/")):
        path = os.path.join(folder, f".meadow-spool-{os.getpid()}")
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.unlink(path)
            return file
        except OSError as error:
            failure = error
    raise failure
