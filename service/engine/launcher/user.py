"""What happens in the user's process: it waits, then becomes another program or calls a function."""

import io
import json
import os
import signal
import struct
import sys
import time
import traceback  # noqa: F401  Python itself wants it for printing errors: not from the user's sys.path
import types

from behind import environment_for, put_behind
from machine import prefer_as_victim, set_dumpable
from plain_path import PlainPath
from programs import write_programs

REPORT = struct.Struct(">cI")
MOST_RESULT = 16 << 20
LAUNCHER = ("behind", "child", "machine", "plain_path", "programs", "service", "spool", "user")


def become_user(sys_path, preload, out, err, report, task):
    """Never returns."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    low, high = sorted((report, task))
    for begin, end in ((3, low), (low + 1, high), (high + 1, 1024)):
        os.closerange(begin, end)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    set_dumpable(True)
    prefer_as_victim()
    forget_launcher()
    plain = PlainPath([folder for folder in sys.path if folder != os.path.dirname(__file__)])
    sys.path[:0] = sys_path["first"]
    put_behind(sys_path["behind"])

    def say(kind, message):
        data = memoryview(REPORT.pack(kind, len(message)) + message)
        while data:
            data = data[os.write(report, data) :]

    say(b"p", json.dumps([note for note in map(import_early, preload) if note]).encode())
    text = b"".join(iter(lambda: os.read(task, 65536), b""))
    os.close(task)
    if not text:
        os._exit(0)
    sys.exit(do(json.loads(text), say, plain))


def forget_launcher():
    """The user's modules may have the same names, and spawned processes must not import the launcher as theirs."""
    for name in LAUNCHER:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")


def import_early(name):
    try:
        __import__(name)
        return None
    except (Exception, SystemExit) as error:
        return f"preloading {name} failed: {type(error).__name__}: {error}"[:1000]


class Failure(Exception):
    """Why a task can't be done, typed: exit code, code, message, hint."""


def do(task, say, plain):
    """Does the task; its exit code, where it does not become another program."""
    try:
        prepare(task)
        if "function" in task:
            plain.update()
            return call(task, say)
        return execute(task["argv"] if "argv" in task else shell(task["command"]))
    except Failure as failure:
        exit_code, code, message, hint = failure.args
        say(b"e", json.dumps({"code": code, "message": message[:10_000], "hint": hint}).encode())
        return exit_code


def prepare(task):
    try:
        os.environ.update(task.get("env") or {})
        os.environ.update(task.get("secrets") or {})
        if "function" not in task and "sysPath" in task:
            set_path(**task["sysPath"])
    except ValueError as error:
        raise Failure(126, "environment", f"an environment variable cannot be set: {error}", "leave out NUL bytes")
    time.tzset()
    try:
        os.chdir(task["cwd"])
    except (OSError, ValueError) as error:
        message = f"cannot enter the working directory {task['cwd']}: {error}"
        raise Failure(126, "working-directory", message, "name a folder of the repository in working-directory")


def set_path(first, behind):
    """Puts folders on the path of every Python that is started from here on, and their programs on that of commands."""
    own = os.environ.get("PYTHONPATH")
    folders = environment_for(behind) + first + ([own] if own else [])
    if folders:
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    programs = write_programs(first + behind)
    if programs:
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])


def shell(command):
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        bash = os.path.join(folder, "bash")
        if os.access(bash, os.X_OK):
            return [bash, "-eo", "pipefail", "-c", command]
    return ["/bin/sh", "-c", command]


def execute(argv):
    # Python ignores these two, and what is ignored stays so in the new program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    name = argv[0]
    try:
        os.execvpe(name, argv, os.environ)
    except FileNotFoundError:
        if "/" not in name or not os.path.exists(name):
            where = "does not exist" if "/" in name else f"is not in PATH ({os.environ.get('PATH', os.defpath)})"
            hint = "check the spelling, or add the package that provides it to the environment"
            raise Failure(127, "command-not-found", f"{name} {where}", hint)
        message = f"{name} cannot be started: the interpreter in its first line does not exist"
        raise Failure(126, "command-not-executable", message, "correct the first line of the file")
    except (OSError, ValueError) as error:
        hint = "check that it is executable, begins with a line like #!/bin/sh, and that the arguments are not too long"
        raise Failure(126, "command-not-executable", f"{name} cannot be started: {error}", hint)


def call(task, say):
    """Imports and calls module:name; what it returns goes out as JSON."""
    sys_path = task.get("sysPath") or {"first": [], "behind": []}
    sys.path[:] = sys_path["first"] + [folder for folder in sys.path if folder not in sys_path["first"]]
    put_behind(sys_path["behind"])
    sys.argv = [task["function"]]
    function = find(task["function"])
    args = task.get("args") or []
    try:
        result = function(**args) if isinstance(args, dict) else function(*args)
    except (Exception, KeyboardInterrupt) as error:
        show(error)
        return 1
    say(b"r", as_json(task["function"], result))
    return 0


def find(path):
    name, _, attribute = path.partition(":")
    try:
        # Not importlib: its frames would show in the traceback.
        __import__(name)
    except (Exception, KeyboardInterrupt) as error:
        show(error)
        message = f"cannot import {name}: {type(error).__name__}: {error}"
        raise Failure(1, "module-not-importable", message, import_hint(error, name))
    target = sys.modules[name]
    for part in attribute.split("."):
        if not hasattr(target, part):
            own = [key for key, value in vars(sys.modules[name]).items() if callable(value) and not key.startswith("_")]
            hint = f"it has {', '.join(own[:20])}" if own else "it has no functions at all"
            raise Failure(1, "function-missing", f"{name} has no function {attribute}", hint)
        target = getattr(target, part)
    if not callable(target):
        message = f"{path} is not a function but {type(target).__name__}"
        raise Failure(1, "function-missing", message, "name something that can be called")
    return target


def import_hint(error, name):
    missing = getattr(error, "name", None)
    if not isinstance(error, ModuleNotFoundError) or not missing:
        return "the traceback is in the log"
    if name == missing or name.startswith(missing + "."):
        return "name a module of the repository or of the environment, as it is imported: package.module:function"
    return f"add the package that provides {missing} to the environment file"


def as_json(path, result):
    try:
        text = json.dumps(result, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        hint = "return lists, dicts with text keys, text, finite numbers, booleans or None"
        raise Failure(1, "result-not-json", f"what {path} returned is not JSON: {error}", hint)
    if len(text) > MOST_RESULT:
        message = f"what {path} returned is {len(text)} bytes of JSON; the most is {MOST_RESULT}"
        raise Failure(1, "result-too-large", message, "store it as a file and return where it is")
    return text


def show(error):
    """The traceback as Python itself prints it, from the first frame that is not in here; in one piece."""
    error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        text, sys.stderr = sys.stderr.getvalue(), stderr
        sys.stderr.write(text)
