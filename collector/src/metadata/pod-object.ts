/** What we keep of a pod as the Kubernetes API describes it: a few hundred bytes of ten thousand. Pure. */
import type { NameMatcher } from './glob.ts'
import type { ContainerFacts, PodFacts } from './pod-facts.ts'
import { type Owner, workloadOf } from './workload.ts'

export interface PodObject {
  readonly facts: PodFacts
  /** What the path of a static pod's logs has instead of the uid: the hash of its manifest. */
  readonly staticHash: string | undefined
  /** All of its containers ended: its address may be another pod's by now. */
  readonly ended: boolean
}

type Raw = Readonly<Record<string, unknown>>

/** Undefined when it is no pod. `keepAnnotation` by name. */
export function readPod(object: unknown, keepAnnotation: NameMatcher): PodObject | undefined {
  const [metadata, spec, status] = ['metadata', 'spec', 'status'].map((key) => section(object, key)) as [Raw, Raw, Raw]
  const [uid, namespace, name] = ['uid', 'namespace', 'name'].map((key) => text(metadata[key]))
  if (!uid || !namespace || !name) return undefined
  const labels = strings(metadata['labels'])
  const annotations = strings(metadata['annotations'])
  return {
    facts: {
      uid,
      namespace,
      name,
      labels,
      annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => keepAnnotation(key))),
      namespaceLabels: {},
      addresses: spec['hostNetwork'] === true ? [] : addressesOf(status),
      workload: workloadOf({ labels, owners: list(metadata['ownerReferences']).map(readOwner) }),
      containers: containersOf(spec, status),
    },
    staticHash: annotations['kubernetes.io/config.mirror'] ?? annotations['kubernetes.io/config.hash'],
    ended: status['phase'] === 'Succeeded' || status['phase'] === 'Failed',
  }
}

/** A namespace's name and labels. */
export function readNamespace(
  object: unknown,
  keepLabel: NameMatcher,
): { name: string; labels: Record<string, string> } | undefined {
  const metadata = section(object, 'metadata')
  const name = text(metadata['name'])
  if (!name) return undefined
  const labels = Object.entries(strings(metadata['labels'])).filter(([key]) => keepLabel(key))
  return { name, labels: Object.fromEntries(labels) }
}

function readOwner(reference: Raw): Owner {
  const { kind, name, controller } = reference
  return { kind: text(kind) ?? '', name: text(name) ?? '', controller: controller === true }
}

function addressesOf(status: Raw): string[] {
  const all = [status['podIP'], ...list(status['podIPs']).map(({ ip }) => ip)].map(text)
  return [...new Set(all.filter((address) => address !== undefined && address !== ''))] as string[]
}

/** With init and ephemeral containers, in three lists each in specification and status. */
function containersOf(spec: Raw, status: Raw): Record<string, ContainerFacts> {
  const resolved = new Map<string, string>()
  for (const key of ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'])
    for (const { name, imageID } of list(status[key]))
      if (text(name) && text(imageID)) resolved.set(text(name)!, text(imageID)!)
  const containers: Record<string, ContainerFacts> = {}
  for (const key of ['initContainers', 'containers', 'ephemeralContainers'])
    for (const raw of list(spec[key])) {
      const name = text(raw['name'])
      if (name) containers[name] = { image: text(raw['image']) ?? '', imageId: resolved.get(name) }
    }
  return containers
}

function section(object: unknown, key: string): Raw {
  const value = (object as Raw | null | undefined)?.[key]
  return typeof value === 'object' && value !== null ? (value as Raw) : {}
}

function list(value: unknown): Raw[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'object' && one !== null) : []
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function strings(value: unknown): Record<string, string> {
  const pairs = Object.entries(typeof value === 'object' && value !== null ? value : {})
  return Object.fromEntries(pairs.filter(([, one]) => typeof one === 'string'))
}
