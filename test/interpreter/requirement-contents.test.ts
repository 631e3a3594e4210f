import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { requirementLines } from '../../common/requirement-lines.ts'
import { type Contents, readContents } from '../../service/interpreter/formats/requirement-contents.ts'
import { loadRequirements } from '../../service/interpreter/formats/requirements.ts'
import { codeFiles } from '../support/code-files.ts'

const REQUIREMENTS = ['six', 'rich==1', 'six @ https://example.org/six-1.0.tar.gz', '-e', '.', '@', ';']
const INCLUDES = ['-r base.txt', '-c "base.txt"', "--requirement='base.txt'", '-r', '-c']
const INDEXES = ['-i', '--index-url https://example.org/simple', '--extra-index-url', 'http://10.0.0.1/', '--no-index']
const OPTIONS = ['--pre', '-f', 'links', '--no-binary', `--hash=sha256:${'a'.repeat(64)}`, '--hash=sha256:aa']
const ENDS = ['\\', '\\\n', '\n', '\r', '\f', '\v', '\u0085', '\u2028', '\u2029']
const BETWEEN = [' ', '\t', '\u00a0', '#', ' # ', '"', "'"]

/** What the resolver may be told, whatever a file says: no index, nothing that goes on in the next line, no comment. */
const HARMLESS =
  /^(?:[\w.]|-[rc] base\.txt$|--no-binary \w[\w.-]*$|$)(?!.*\\$)(?!.*\s#)(?!.*\s-(?!-hash=sha256:a{64}(?: |$)))/

async function contentsOf(text: string): Promise<Contents | undefined> {
  const code = { 'requirements.txt': text, 'base.txt': '', 'setup.py': '', 'links/six-1.0-py3-none-any.whl': '' }
  try {
    const files = await loadRequirements(codeFiles(code), { path: 'requirements.txt' })
    return readContents({ path: 'requirements.txt', files }, new Set(Object.keys(code)))
  } catch (error) {
    assert.ok(error instanceof EnvironmentFileError, String(error))
    return undefined
  }
}

test('the resolver is given the lines that were checked, and nothing else', async () => {
  const pieces = fc.constantFrom(...REQUIREMENTS, ...INCLUDES, ...INDEXES, ...OPTIONS, ...ENDS, ...BETWEEN)
  let taken = 0
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { maxLength: 12 }), async (parts) => {
      // As the text of a file is read: every line ends in LF.
      const text = parts.join('').replace(/\r\n?/g, '\n')
      const contents = await contentsOf(text)
      if (contents === undefined) return
      taken++
      const checked = new Set(requirementLines(text).map(({ line }) => line))
      const given = contents.texts['requirements.txt']?.split(/[\r\n]/) ?? []
      assert.equal(given.length, text.split('\n').length)
      for (const [index, line] of given.entries()) {
        assert.ok(line === '' || checked.has(index + 1), `line ${index + 1}: ${line}`)
        assert.match(line, HARMLESS)
      }
    }),
    { numRuns: 5000 },
  )
  assert.ok(taken > 500, `only ${taken} were taken`)
})
