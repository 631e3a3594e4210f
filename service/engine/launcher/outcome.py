"""How the user's process ended, as the service is told."""

import os

from machine import signal_name

# Why a function's process ended well and gave nothing.
NO_RESULT = {
    "code": "no-result",
    "message": "the function ended the process before it returned",
    "hint": "return from the function; do not call sys.exit or os._exit in it",
}


def said(status):
    """In words, of a status that `wait` gives."""
    return f"exit code {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else signal_name(os.WTERMSIG(status))


def outcome(status, reason, oom, seconds, error):
    exited = os.WIFEXITED(status)
    return {
        "exitCode": os.WEXITSTATUS(status) if exited else None,
        "signal": None if exited else signal_name(os.WTERMSIG(status)),
        "reason": reason,
        "oom": oom,
        "seconds": seconds,
        "error": error,
    }
