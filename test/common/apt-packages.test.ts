import assert from 'node:assert/strict'
import { test } from 'node:test'
import { APT_PACKAGE } from '../../common/apt-packages.ts'

test('packages of apt by name, architecture and version', () => {
  for (const name of [
    'tree',
    'g++',
    'libc6:i386',
    'file=1:5.44-3',
    'libpq-dev=15.8-0+deb12u1',
    'xz=1.0~rc1',
    'python3.11',
  ]) {
    assert.match(name, APT_PACKAGE)
  }
})

test('nothing that apt reads as an option, a path, a wish to remove, or several words', () => {
  for (const name of [
    '-y',
    '--reinstall',
    './x.deb',
    '/x.deb',
    'tree-',
    'Tree',
    'tree/sid',
    'a b',
    'a;b',
    '$(a)',
    'x=',
    'x=-o',
    'x^',
    'tre*',
    '',
  ]) {
    assert.doesNotMatch(name, APT_PACKAGE)
  }
})
