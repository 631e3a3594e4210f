"""Installs a conda environment as conda does: python conda_install.py PREFIX CHANNEL SPEC…"""

import asyncio
import os
import sys

from rattler import Channel, MatchSpec, Subdir, VirtualPackage, VirtualPackageOverrides, install, solve


async def main(prefix, channel, *specs):
    virtual = VirtualPackage.detect(overrides=VirtualPackageOverrides())
    records = await solve(sources=[Channel(channel)], specs=[MatchSpec(spec) for spec in specs],
                          platforms=[Subdir.current(), Subdir("noarch")], virtual_packages=virtual)
    await install(records, target_prefix=prefix, show_progress=False, execute_link_scripts=False)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # The interpreter may crash at its end, the work done.
