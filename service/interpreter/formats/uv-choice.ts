import { ResolutionFailed, type UvChoice } from '../resolution.ts'
import { chosen, type InterpreterSpec } from '../spec.ts'
import { type ProjectRequirement, readProject } from './project.ts'

/** What poetry and conda-lock call a project's own dependencies, as if they were a group. */
const MAIN = 'main'

/**
 * What of a uv.lock a spec asks for. With `main` among its groups these count alone, without the default ones; with
 * `main` left out, only what they name is installed. A project's own group of that name is one like others.
 * @throws {ResolutionFailed} where nothing would be left
 */
export function uvChoice(spec: InterpreterSpec, requirements: ProjectRequirement[]): UvChoice {
  const { groups, withoutGroups, extras } = chosen(spec)
  const name = spec.project === undefined ? undefined : readProject(spec.project, spec.files[spec.project] ?? '').name
  const of = name === undefined ? {} : { project: name }
  if (requirements.some(({ group }) => group === MAIN)) {
    return { ...of, groups, withoutGroups, extras, defaultGroups: true, groupsAlone: false }
  }
  const [named, left] = [groups, withoutGroups].map((names) => names.filter((each) => each !== MAIN))
  const groupsAlone = withoutGroups.includes(MAIN)
  if (groupsAlone && (named?.length === 0 || extras.length > 0)) {
    const why = extras.length > 0 ? `the extra ${extras[0]} is of the project itself` : 'no group is asked for'
    throw new ResolutionFailed(
      spec.path,
      undefined,
      `without-groups: without main, ${why}`,
      'Name with the input "groups" what is to be installed, without extras; or take main out.',
    )
  }
  const defaultGroups = !groups.includes(MAIN)
  return { ...of, groups: named ?? [], withoutGroups: left ?? [], extras, defaultGroups, groupsAlone }
}
