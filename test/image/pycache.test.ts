import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { isCompiled } from '../../service/image/pycache.ts'

const SITE = 'opt/env/lib/python3.11/site-packages'

test('modules are compiled; scripts, data, links and the tests of packages are not', () => {
  for (const path of ['six.py', 'numpy/testing/__init__.py', 'pytest/tests.py', 'mytests/x.py'])
    equal(isCompiled({ path: `${SITE}/${path}` }), true, path)
  for (const path of ['numpy/_core.so', 'tests/test_x.py', 'numpy/tests/test_x.py', 'numpy/tests/deep/x.py'])
    equal(isCompiled({ path: `${SITE}/${path}` }), false, path)
  equal(isCompiled({ path: 'opt/env/bin/tool.py' }), false)
  equal(isCompiled({ path: `${SITE}/six.py`, link: 'other.py' }), false)
})
