/** The version of Loki whose API this is: clients ask for features by it. Ours is the revision. */
export const lokiVersion = '3.7.0'

export function buildInfo(version: string): Record<string, string> {
  return {
    version: lokiVersion,
    revision: `tributary-${version}`,
    branch: '',
    buildUser: '',
    buildDate: '',
    goVersion: '',
  }
}
