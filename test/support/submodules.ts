import type { TestFile, TestRepository } from './repositories.ts'

/** Files of a commit, submodules among them. */
export type SubmoduleTree = Record<string, TestFile | { gitlink: string }>

/** A commit on main, its root also holding submodules; git itself writes the index that it is made of. */
export async function commitWithSubmodules(repository: TestRepository, tree: SubmoduleTree): Promise<string> {
  const plain = Object.entries(tree).filter((entry): entry is [string, TestFile] => !isGitlink(entry[1]))
  await repository.git(['read-tree', await repository.commit(Object.fromEntries(plain))])
  for (const [path, file] of Object.entries(tree)) {
    if (isGitlink(file))
      await repository.git(['update-index', '--add', '--cacheinfo', `160000,${file.gitlink},${path}`])
  }
  return await repository.commitTree(await repository.git(['write-tree']), { ref: 'refs/heads/main' })
}

/** A `.gitmodules` of these addresses by path. */
export function gitmodules(urls: Record<string, string>): string {
  return Object.entries(urls)
    .map(([path, url]) => `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${url}\n`)
    .join('')
}

function isGitlink(file: TestFile | { gitlink: string }): file is { gitlink: string } {
  return typeof file === 'object' && 'gitlink' in file
}
