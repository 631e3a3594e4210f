import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { detect, FORMATS, formatOf, formatsOn } from '../../common/detect.ts'

test('the file at the root is found, a lock before what it was made from', () => {
  assert.deepEqual(detect(['a/pylock.toml', 'requirements.txt']), {
    path: 'requirements.txt',
    format: 'requirements.txt',
  })
  assert.deepEqual(detect(['pyproject.toml', 'requirements.txt', 'uv.lock', 'pylock.toml']), {
    path: 'pylock.toml',
    format: 'pylock.toml',
    insteadOf: ['uv.lock', 'requirements.txt', 'pyproject.toml'],
  })
  assert.equal(detect(['pyproject.toml', 'requirements.txt', 'poetry.lock']).path, 'poetry.lock')
  assert.equal(detect(['setup.py', 'pyproject.toml']).path, 'pyproject.toml')
})

test('the order is the one that README gives', () => {
  const readme = readFileSync('README.md', 'utf8')
  const said = /In this order:\s([\s\S]*?)\. On ARM/.exec(readme)?.[1] ?? ''
  const places = said.split(';').map((place) => [...place.matchAll(/`([^`]+)`/g)].map((match) => match[1]))
  const ranks = [...new Set(FORMATS.map(({ rank }) => rank))].sort((a, b) => a - b)
  const rows = ranks.map((rank) => FORMATS.filter((row) => row.rank === rank).map(({ detected }) => detected))
  assert.deepEqual(places, rows)
})

test('nothing that fits names what was looked for, and what looks like it elsewhere', () => {
  assert.throws(() => detect(['README.md']), {
    name: 'NotDetected',
    code: 'no-environment-file',
    message: /looked for pylock\.toml, .*requirements\.txt, pyproject\.toml\)$/,
    hint: /^Commit one of them/,
  })
  assert.throws(() => detect(['app/deep/pylock.toml', 'Pipfile', 'app/requirements-dev.txt', 'docs/a.txt']), {
    message: /; there is Pipfile, app\/requirements-dev\.txt, app\/deep\/pylock\.toml\)$/,
    hint: /"interpreter: app\/requirements-dev\.txt"/,
  })
  const many = Array.from({ length: 9 }, (_, n) => `a${n}/requirements.txt`)
  assert.throws(() => detect(many), { message: /a4\/requirements\.txt, …\)$/ })
})

test('two formats of one place are not chosen between', () => {
  assert.throws(() => detect(['requirements.txt', 'pyproject.toml', 'uv.lock', 'poetry.lock']), {
    code: 'ambiguous-environment-file',
    message:
      'interpreter: both uv.lock and poetry.lock are at the root of the repository, and neither comes before the other',
    hint: /"interpreter: uv\.lock"/,
  })
})

test("conda's environment file: those for Linux first, two endings are not chosen between", () => {
  const all = ['environment.yml', 'environment-linux.yml', 'environment-linux-64.yml', 'environment-osx-64.yml']
  assert.deepEqual(detect(all), {
    path: 'environment-linux-64.yml',
    format: 'conda-environment',
    insteadOf: ['environment-linux.yml', 'environment.yml'],
  })
  for (const alone of [
    'environment.yaml',
    'environment-linux.yml',
    'environment-linux.yaml',
    'environment-linux-64.yaml',
  ])
    assert.deepEqual(detect([alone, 'requirements.txt']).path, alone)
  for (const stem of ['environment', 'environment-linux'])
    assert.throws(() => detect([`${stem}.yaml`, `${stem}.yml`]), {
      code: 'ambiguous-environment-file',
      message: `interpreter: both ${stem}.yml and ${stem}.yaml are at the root of the repository, and neither comes before the other`,
    })
  assert.throws(() => detect(['environment-osx-arm64.yml']), { message: /there is environment-osx-arm64\.yml/ })
})

test('on ARM the files for it are found in place of those for most machines', () => {
  const all = ['environment.yml', 'environment-linux.yml', 'environment-linux-64.yml', 'environment-linux-aarch64.yml']
  const onArm = formatsOn('linux-aarch64')
  assert.deepEqual(detect(all, onArm), {
    path: 'environment-linux-aarch64.yml',
    format: 'conda-environment',
    insteadOf: ['environment-linux.yml', 'environment.yml'],
  })
  const rendered = ['conda-linux-64.lock', 'conda-linux-aarch64.lock', 'conda-osx-arm64.lock']
  assert.equal(detect(rendered, onArm).path, 'conda-linux-aarch64.lock')
  assert.equal(detect(rendered).path, 'conda-linux-64.lock')
  assert.throws(() => detect(['conda-linux-64.lock'], onArm), {
    message: /conda-linux-aarch64\.lock.*there is conda-linux-64\.lock/,
  })
})

test('a named file has the format of its name', () => {
  assert.equal(formatOf('deep/pylock.gpu.toml').format, 'pylock.toml')
  assert.equal(formatOf('requirements/dev.txt').format, 'requirements.txt')
  assert.equal(formatOf('dev.in').format, 'requirements.txt')
  assert.equal(formatOf('ci/py311.yaml').format, 'conda-environment')
  assert.equal(formatOf('gpu.conda-lock.yml').format, 'conda-lock')
  for (const name of ['setup.py', 'pylock.a.b.toml', 'txt', 'requirements.txt/x']) {
    assert.throws(() => formatOf(name), { code: 'unknown-environment-file' }, name)
  }
})
