import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild'

/**
 * Makes dist/ from the sources: what GitHub runs. `--check` compares instead, byte for byte.
 * `node action/bundle.ts [--check]`
 */
const ROOT = dirname(import.meta.dirname)
const DIST = join(ROOT, 'dist')

/** @actions/core brings an HTTP client for OIDC and a process runner. We use neither: 400 kB that load for nothing. */
const unused: Plugin = {
  name: 'drop-unused',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^@actions\/(http-client|exec|io)/ }, async ({ path, pluginData, ...options }) => {
      if (pluginData === unused) return undefined
      return { ...(await resolve(path, { ...options, pluginData: unused })), sideEffects: false }
    })
  },
}

const OPTIONS = {
  absWorkingDir: ROOT,
  entryPoints: { main: 'action/main.ts', post: 'action/post.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  // The toolkit is ESM, but ESM output can't hold the CommonJS parts of its dependencies.
  format: 'cjs',
  minify: true,
  legalComments: 'none',
  plugins: [unused],
  // The bytes are the same where node_modules is a link.
  preserveSymlinks: true,
  metafile: true,
  write: false,
} satisfies BuildOptions

const { outputFiles, metafile } = await build(OPTIONS)
const wanted = new Map(outputFiles.map(({ path, contents }) => [basename(path), Buffer.from(contents)]))
wanted.set('LICENSES.txt', Buffer.from(await licenses(metafile)))

if (process.argv.includes('--check')) await check()
else await write()

async function write(): Promise<void> {
  await mkdir(DIST, { recursive: true })
  for (const [name, bytes] of wanted) {
    await writeFile(join(DIST, name), bytes)
    console.log(`dist/${name}: ${(bytes.length / 1000).toFixed(1)} kB`)
  }
}

async function check(): Promise<void> {
  const there = await readdir(DIST).catch(() => [])
  const differ: string[] = there.filter((name) => !wanted.has(name))
  for (const [name, bytes] of wanted) {
    const committed = await readFile(join(DIST, name)).catch(() => undefined)
    if (committed === undefined || !committed.equals(bytes)) differ.push(name)
  }
  if (differ.length === 0) return
  console.error(`dist/ is not what the sources give: ${differ.join(', ')}. Run "npm run build" and commit dist/.`)
  process.exitCode = 1
}

/** The licenses of the packages whose code is in the bundles. */
async function licenses({ outputs }: Metafile): Promise<string> {
  const packages = new Set<string>()
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [folder] = /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []
      if (folder && bytesInOutput > 0) packages.add(folder)
    }
  }
  const texts = [...packages].sort().map(async (folder) => {
    const names = await readdir(join(ROOT, folder))
    const file = names.find((name) => /^licen[cs]e/i.test(name))
    const text = file ? await readFile(join(ROOT, folder, file), 'utf8') : 'See its package.json.\n'
    return `${folder.replace('node_modules/', '')}\n\n${text.trim()}\n`
  })
  return (await Promise.all(texts)).join('\n---\n\n')
}
