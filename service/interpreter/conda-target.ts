/** What conda calls a platform, and the properties of it that packages may ask for: name -> version and build. */
export interface CondaTarget {
  /** `linux-64` */
  subdir: string
  /** https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html */
  virtual: Record<string, [version: string, build: string]>
}
