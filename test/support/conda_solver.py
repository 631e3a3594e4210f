"""What conda-lock asks of conda: `conda create --dry-run --json --channel … SPEC …`, answered by rattler's solver.

Conda itself is on no package index. Only the solution is rattler's; the lock is conda-lock's own.
"""

import argparse
import asyncio
import json
import os
import sys

from rattler import Channel, MatchSpec, Subdir, solve


def row(record):
    """A package as conda's dry run tells it, with what its repodata says."""
    return {"name": record.name.normalized, "version": str(record.version), "channel": record.channel, "url": record.url,
            "fn": record.file_name, "md5": record.md5.hex() if record.md5 else "", "depends": record.depends,
            "sha256": record.sha256 and record.sha256.hex(), "constrains": record.constrains, "subdir": record.subdir}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="version", version="conda 25.1.0")
    for flag in ("--dry-run", "--json", "--override-channels"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("command", choices=["create"])
    parser.add_argument("--prefix")
    parser.add_argument("--channel", action="append")
    parser.add_argument("specs", nargs="*")
    asked = parser.parse_intermixed_args()
    records = await solve(
        sources=[Channel(each) for each in asked.channel], specs=[MatchSpec(each) for each in asked.specs],
        platforms=[Subdir(os.environ["CONDA_SUBDIR"]), Subdir("noarch")])
    print(json.dumps({"actions": {"FETCH": [row(record) for record in records], "LINK": []}}))


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # The interpreter may crash at its end, the work done.
