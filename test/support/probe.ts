import type { Probe } from '../../service/interpreter/probe.ts'

/** A probe of a Debian bookworm with Python 3.11, for tests of what only reads it. */
export const exampleProbe: Probe = {
  markers: {
    implementation_name: 'cpython',
    implementation_version: '3.11.2',
    os_name: 'posix',
    platform_machine: 'x86_64',
    platform_release: '6.1.0',
    platform_system: 'Linux',
    platform_version: '#1',
    python_full_version: '3.11.2',
    platform_python_implementation: 'CPython',
    python_version: '3.11',
    sys_platform: 'linux',
  },
  tags: ['cp311-cp311-manylinux_2_36_x86_64', 'cp311-none-any', 'py3-none-any'],
  version: '3.11.2',
  basePrefix: '/usr',
  prefix: '/usr',
  sitePackages: ['/usr/lib/python3/dist-packages'],
  installed: [],
  executable: '/usr/bin/python3.11',
  cacheTag: 'cpython-311',
  libc: { name: 'glibc', version: '2.36' },
  machine: 'x86_64',
  user: '0:0',
}
