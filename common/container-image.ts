/** How the inputs `interpreter` and `base-image` say that they name a container image with packages of its own. */
const SCHEME = 'docker://'

/** Whether it names a container image: `docker://registry.example.org/team/app:1.0`. */
export function isContainerImage(name: string): boolean {
  return name.startsWith(SCHEME)
}

/** The image's name without the scheme. */
export function imageName(name: string): string {
  return isContainerImage(name) ? name.slice(SCHEME.length) : name
}
