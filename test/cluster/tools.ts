/** What `test/cluster/install` builds: Kubernetes' own programs, without a kubelet. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { chartTools } from '../chart/tools.ts'

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tributary', 'kubernetes')
const bin = process.env['TRIBUTARY_KUBERNETES_TOOLS'] ?? join(cache, 'bin')

const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const
export type Program = (typeof programs)[number]

export interface ClusterTools extends Readonly<Record<Program, string>> {
  readonly helm: string
  /** A directory of files with CustomResourceDefinitions. */
  readonly definitions: string
}

/** Undefined, with a note, where they are not installed. In CI that is a failure. */
export function clusterTools(): ClusterTools | undefined {
  const chart = chartTools()
  if (chart === undefined) return undefined
  const paths = Object.fromEntries(programs.map((name) => [name, join(bin, name)])) as Record<Program, string>
  const missing = programs.filter((name) => !existsSync(paths[name]))
  const definitions = join(chart.schemas, 'definitions')
  if (missing.length === 0 && existsSync(definitions)) return { ...paths, helm: chart.helm, definitions }
  const what = `not in ${bin}: ${missing.join(', ')}, or ${definitions} is missing: run test/chart/install and test/cluster/install (need Go)`
  if (process.env['CI'] === 'true') throw new Error(`needed in CI: ${what}`)
  console.log(`skipped: ${what}`)
  return undefined
}
