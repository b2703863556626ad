/** Stream labels: the name of the service, the canonical form, and the id derived from it. Pure. */
import { createHash } from 'node:crypto'

export type Labels = Readonly<Record<string, string>>

/** Where Loki looks for a service's name, in this order. */
export const serviceNames = [
  'service',
  'app',
  'application',
  'app_name',
  'name',
  'app_kubernetes_io_name',
  'container',
  'container_name',
  'k8s_container_name',
  'component',
  'workload',
  'job',
  'k8s_job_name',
] as const

export function withServiceName(labels: Labels): Labels {
  if (labels['service_name']) return labels
  const from = serviceNames.find((name) => labels[name])
  return { ...labels, service_name: from === undefined ? 'unknown_service' : labels[from]! }
}

/** A stream: all of its labels with keys sorted, none empty, and the first 8 bytes of the SHA-256 of their JSON. */
export interface Stream {
  readonly sid: bigint
  readonly labels: Labels
}

export function streamOf(labels: Labels): Stream {
  const pairs = Object.entries(labels)
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const digest = createHash('sha256').update(JSON.stringify(pairs)).digest()
  return { sid: digest.readBigUInt64BE(0), labels: Object.fromEntries(pairs) }
}

/** A name as Loki's label names are: letters, digits and underscores, no digit first. */
export function labelName(name: string): string {
  const clean = name.replace(/[^A-Za-z0-9_]/g, '_')
  // An object has no room for a key named __proto__.
  return /^[0-9]/.test(clean) || clean === '' || clean === '__proto__' ? `_${clean}` : clean
}
