"""Values as TOML. tomlkit, which keeps what people wrote, takes seconds for a lock of sixty packages."""

import json
import re


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key_of(key)} = {toml(one)}" for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml(one)},\n" for one in value) + "]"
    # JSON's strings are TOML's, but for one character. Times are said as texts.
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")


def table(content):
    """The lines of a table."""
    return "".join(f"{key_of(key)} = {toml(value)}\n" for key, value in content.items())


def key_of(key):
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else toml(key)
