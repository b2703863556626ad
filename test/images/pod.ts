/**
 * A pod that the chart renders, as the arguments with which Docker runs it. What is not understood is an error: a container that was started
 * with less than the chart says would prove nothing.
 */
import type { KubernetesObject } from '../chart/render.ts'

export interface Container {
  readonly name: string
  readonly image: string
  readonly imagePullPolicy?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly EnvironmentVariable[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string>>
    readonly limits?: Readonly<Record<string, string>>
  }
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly lifecycle?: unknown
  readonly volumeMounts?: readonly VolumeMount[]
}

interface EnvironmentVariable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } }
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly failureThreshold?: number
}

export interface VolumeMount {
  readonly name: string
  readonly mountPath: string
  readonly readOnly?: boolean
}

export interface Volume {
  readonly name: string
  readonly configMap?: { readonly name: string }
  readonly secret?: { readonly secretName: string; readonly defaultMode?: number }
  readonly hostPath?: { readonly path: string; readonly type?: string }
  readonly emptyDir?: { readonly sizeLimit?: string }
}

export interface PodSpec {
  readonly containers: readonly Container[]
  readonly volumes?: readonly Volume[]
  readonly securityContext: Readonly<Record<string, unknown>> & { readonly fsGroup?: number }
  readonly terminationGracePeriodSeconds?: number
}

/** What the scheduler and the kubelet know of a pod. */
export interface PodFields {
  readonly name: string
  readonly uid: string
  readonly node: string
}

/** The pod of a Pod, or of a DaemonSet's or StatefulSet's template. */
export function podSpecOf({ kind, spec }: KubernetesObject): PodSpec {
  return (kind === 'Pod' ? spec : (spec['template'] as { spec: unknown }).spec) as PodSpec
}

const kibi: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 }

/** `200Mi` as bytes. */
export function quantity(text: string): number {
  const [, number, unit] = /^(\d+)(Ki|Mi|Gi|)$/.exec(text) ?? []
  if (number === undefined) throw new Error(`not a quantity that is understood: ${text}`)
  return Number(number) * kibi[unit!]!
}

/** `500m` as processors. */
function processors(text: string): number {
  return text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(text)
}

/**
 * Everything behind `docker run` but the container's name and network.
 *
 * @param directories where on this machine each volume's files are, by the volume's name
 */
export function runArguments(
  spec: PodSpec,
  fields: PodFields,
  directories: ReadonlyMap<string, string>,
): readonly string[] {
  const [container, ...others] = spec.containers
  if (container === undefined || others.length > 0) throw new Error('a pod of one container is understood')
  const environment = new Map((container.env ?? []).map((one) => [one.name, environmentValue(one, fields)]))
  const expand = (text: string) => text.replaceAll(/\$\((\w+)\)/g, (all, name: string) => environment.get(name) ?? all)
  const [program, ...command] = container.command ?? []
  return [
    ...securityArguments(spec, container),
    ...limitArguments(container),
    ...[...environment].flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...(container.volumeMounts ?? []).flatMap((mount) => ['--volume', mountArgument(mount, directories)]),
    ...(program === undefined ? [] : ['--entrypoint', program]),
    container.image,
    ...[...command, ...(container.args ?? [])].map(expand),
  ]
}

function environmentValue({ name, value, valueFrom }: EnvironmentVariable, fields: PodFields): string {
  if (value !== undefined) return value
  const known: Readonly<Record<string, string>> = {
    'metadata.name': fields.name,
    'metadata.uid': fields.uid,
    'spec.nodeName': fields.node,
  }
  const found = known[valueFrom?.fieldRef?.fieldPath ?? '']
  if (found === undefined) throw new Error(`environment variable ${name}: not understood`)
  return found
}

function securityArguments(spec: PodSpec, container: Container): string[] {
  const { runAsUser, runAsGroup, runAsNonRoot, fsGroup, fsGroupChangePolicy, seccompProfile, ...more } =
    spec.securityContext
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities, ...most } = container.securityContext ?? {}
  for (const key of Object.keys({ ...more, ...most })) throw new Error(`securityContext.${key} is not understood`)
  if (runAsNonRoot === true && !(Number(runAsUser) > 0)) throw new Error('a kubelet would refuse it: runAsNonRoot')
  void fsGroupChangePolicy
  const { type } = (seccompProfile ?? {}) as { type?: string }
  const { drop = [], add = [] } = (capabilities ?? {}) as { drop?: string[]; add?: string[] }
  return [
    ...(runAsUser === undefined ? [] : ['--user', `${runAsUser}:${runAsGroup}`]),
    ...(fsGroup === undefined ? [] : ['--group-add', String(fsGroup)]),
    // Docker's profile is the runtime's; without one there would be none.
    ...(type === 'RuntimeDefault' ? [] : ['--security-opt', 'seccomp=unconfined']),
    ...(allowPrivilegeEscalation === false ? ['--security-opt', 'no-new-privileges'] : []),
    ...(readOnlyRootFilesystem === true ? ['--read-only'] : []),
    ...drop.flatMap((name) => ['--cap-drop', name]),
    ...add.flatMap((name) => ['--cap-add', name]),
  ]
}

function limitArguments({ resources }: Container): string[] {
  const { memory, cpu, ...more } = resources?.limits ?? {}
  for (const name of Object.keys(more)) throw new Error(`limits.${name} is not understood`)
  const bytes = memory === undefined ? undefined : String(quantity(memory))
  return [
    // No swap beside it, as under a kubelet.
    ...(bytes === undefined ? [] : ['--memory', bytes, '--memory-swap', bytes]),
    ...(cpu === undefined ? [] : ['--cpus', String(processors(cpu))]),
  ]
}

function mountArgument({ name, mountPath, readOnly, ...more }: VolumeMount, directories: ReadonlyMap<string, string>) {
  for (const key of Object.keys(more)) throw new Error(`volumeMounts.${key} is not understood`)
  const directory = directories.get(name)
  if (directory === undefined) throw new Error(`no volume is called ${name}`)
  return `${directory}:${mountPath}${readOnly ? ':ro' : ''}`
}
