/** A package that an image has of its own. */
export interface InstalledPackage {
  /** Normalised (PEP 503). */
  name: string
  version: string
  /** What it needs, as its metadata says it. */
  requires: string[]
}

/** Grows when probes say more than they did: stored ones are then made again. */
export const PROBE_FORMAT = 3

/** What a base image's Python says of itself; made once a base digest by `builder/python/probe.py`. */
export interface Probe {
  /** PEP 508 marker environment, as `packaging.markers.default_environment()` names its keys. */
  markers: Record<string, string>
  /** Wheel tags, best first: `cp311-cp311-manylinux_2_36_x86_64`. */
  tags: string[]
  /** `3.11.2` */
  version: string
  /** `sys.base_prefix` */
  basePrefix: string
  /** `sys.prefix`: not the base prefix where the image's Python is a virtual environment itself. */
  prefix: string
  /** The folders that its packages are in, those of the image's own user first. */
  sitePackages: string[]
  /** What is installed in them, or in folders of the image's PYTHONPATH. */
  installed: InstalledPackage[]
  /** The real path of the interpreter: `/usr/bin/python3.11`. */
  executable: string
  /** `sys.implementation.cache_tag`: `cpython-311`. */
  cacheTag: string
  libc: { name: 'glibc' | 'musl'; version: string }
  /** `x86_64` */
  machine: string
  /** uid:gid that the image's processes run as. */
  user: string
}
