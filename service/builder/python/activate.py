"""What activating the conda environment of this image sets. Run by the environment's own Python, standard library only.

On stdin: {"variables": {name: value}}, those of the environment itself. On stdout: {"env": {name: value}, "failed":
null or why the scripts of packages could not be run to their end}. In the order of conda: variables of packages, those
of the environment, then the scripts of packages, by name.
"""

import glob
import json
import os
import subprocess
import sys

PREFIX = "/opt/env"
# Of the shell that sources the scripts, not of the environment.
OWN = ("_", "HOME", "OLDPWD", "PWD", "SHLVL", "LANG", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE",
       "CURL_CA_BUNDLE", "PIP_INDEX_URL", "HOSTNAME")
SOURCE = 'for f in "$1"/etc/conda/activate.d/*.sh; do [ -r "$f" ] && . "$f"; done >&2; exec env -0'


def of_packages():
    variables = {}
    for path in sorted(glob.glob(PREFIX + "/etc/conda/env_vars.d/*.json")):
        with open(path, encoding="utf-8") as file:
            try:
                variables.update({str(name): str(value) for name, value in json.load(file).items()})
            except (ValueError, AttributeError):
                print("{} is not well formed".format(path), file=sys.stderr)
    return variables


def main():
    given = of_packages()
    given.update(json.load(sys.stdin)["variables"])
    before = dict(os.environ)
    done = subprocess.run(["bash", "--noprofile", "--norc", "-c", SOURCE, "activate", PREFIX],
                          env=dict(before, **given), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    pairs = (pair.split("=", 1) for pair in os.fsdecode(done.stdout).split("\0") if "=" in pair)
    after = {} if done.returncode else dict(pairs)
    env = dict(given)
    env.update({name: value for name, value in after.items() if before.get(name) != value and name not in OWN})
    failed = "a script ended with exit code {}".format(done.returncode) if done.returncode else None
    print(json.dumps({"env": env, "failed": failed}))


main()
