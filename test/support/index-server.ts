import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { normalizeName } from '../../common/package-name.ts'
import { Step } from '../../service/builder/step.ts'
import { STEP, type TestBuilder, testBase } from './builder.ts'
import type { IndexFile } from './package-index.ts'

/** Package indexes of this machine that containers reach, one below each name. */
export interface IndexServer {
  /** Of one index. https://packaging.python.org/en/latest/specifications/simple-repository-api/ */
  url(index: string): string
  /** Projects whose pages were asked for: `private/acme`. */
  asked: string[]
  /** What is given instead of a file, by its name: other bytes, or nothing. */
  instead: Map<string, Buffer | 'gone'>
  /** Why a file was yanked, by its name (PEP 592). */
  yanked: Map<string, string>
}

/**
 * Serves indexes of these files until the test ends.
 * @param otherwise an index that has all other packages
 */
export async function indexServer(
  t: Pick<TestContext, 'after'>,
  indexes: Record<string, IndexFile[]>,
  otherwise?: string,
): Promise<IndexServer> {
  const asked: string[] = []
  const instead: IndexServer['instead'] = new Map()
  const yanked: IndexServer['yanked'] = new Map()
  const server = createServer((request, response) => {
    const [, index = '', kind = '', name = ''] = (request.url ?? '').split('/')
    const files = indexes[index] ?? []
    if (kind === 'files') {
      const content = instead.get(name) ?? files.find(({ filename }) => filename === name)?.content ?? 'gone'
      return void (content === 'gone' ? response.writeHead(404).end() : response.end(content))
    }
    asked.push(`${index}/${name}`)
    const links = files
      .filter(({ filename }) => normalizeName(filename.split('-', 1)[0] ?? '') === name)
      .map((file) => linkTo(file, yanked.get(file.filename)))
    if (links.length === 0 && otherwise)
      return void response.writeHead(302, { location: `${otherwise}/${name}/` }).end()
    response.writeHead(links.length > 0 ? 200 : 404, { 'content-type': 'text/html' }).end(links.join('\n'))
  })
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://${ownAddress()}:${(server.address() as AddressInfo).port}`
  return { url: (index) => `${origin}/${index}/simple`, asked, instead, yanked }
}

/** The index that pip asks by default. */
export async function publicIndex({ context }: TestBuilder): Promise<string> {
  const program = 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)'
  const { reference } = await testBase('3.11')
  const command = ['python3', '-c', program]
  await using step = await Step.open(context, { name: 'asking pip', image: reference, command, network: 'none' }, STEP)
  await step.start()
  const said = await text(step.stdout)
  await step.finish()
  return said.trim()
}

function linkTo({ filename, content }: IndexFile, yanked: string | undefined): string {
  const sha256 = createHash('sha256').update(content).digest('hex')
  const reason = yanked === undefined ? '' : ` data-yanked="${yanked}"`
  return `<a href="../../files/${filename}#sha256=${sha256}"${reason}>${filename}</a>`
}

/** An address of this machine that is not the loopback. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found === undefined) throw new Error('this machine has no address that its containers could reach')
  return found.address
}
