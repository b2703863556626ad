/** What `test/chart/install` installs, and where. */
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from '../harness/programs.ts'

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tributary', 'chart')
const bin = process.env['TRIBUTARY_CHART_TOOLS'] ?? join(cache, 'bin')
/** A directory for each version of Kubernetes, and `custom`. */
const schemas = process.env['TRIBUTARY_CHART_SCHEMAS'] ?? join(cache, 'schemas')

export interface ChartTools {
  readonly helm: string
  readonly kubeconform: string
  readonly schemas: string
  /** Of Kubernetes, such as 1.37.2. */
  readonly versions: readonly string[]
}

/** For suites that are skipped: vitest goes through them all the same. */
export const noTools: ChartTools = { helm: '', kubeconform: '', schemas: '', versions: [] }

/** Undefined, with a note, where they are not installed. In CI that is a failure. */
export function chartTools(): ChartTools | undefined {
  const helm = installed('helm', 'HELM')
  const kubeconform = installed('kubeconform', 'KUBECONFORM')
  const names = existsSync(schemas) ? readdirSync(schemas) : []
  const versions = names.filter((name) => /^v[\d.]+$/.test(name)).map((name) => name.slice(1))
  if (helm !== undefined && kubeconform !== undefined && versions.length > 0 && names.includes('custom'))
    return { helm, kubeconform, schemas, versions }
  const what = 'helm, kubeconform or the schemas of Kubernetes are missing: run test/chart/install (needs Go)'
  if (process.env['CI'] === 'true') throw new Error(`needed in CI: ${what}`)
  console.log(`skipped: ${what}`)
  return undefined
}

function installed(name: string, variable: string): string | undefined {
  const path = join(bin, name)
  return existsSync(path) ? path : findProgram(name, variable)
}
