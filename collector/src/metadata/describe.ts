/** Labels and structured metadata of a container's records, from its path and from what is known of its pod. Pure. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { PodIdentity } from '../discover/layout.ts'
import type { KubernetesConfig } from './config.ts'
import { compileGlobs, type NameMatcher } from './glob.ts'
import type { PodFacts } from './pod-facts.ts'

export interface DescribeOptions {
  readonly cluster: string
  readonly node: string
  readonly kubernetes: Pick<
    KubernetesConfig,
    'enabled' | 'labels' | 'annotations' | 'namespaceLabels' | 'promote' | 'imageId'
  >
}

/** Says what is known of a container's records. `facts` are undefined while its pod is not known. */
export type Describe = (
  identity: PodIdentity,
  containerId: string | undefined,
  facts: PodFacts | undefined,
) => StreamMetadata

/** Where a pod says which application it is, the usual order. */
const appLabels = ['app.kubernetes.io/name', 'app', 'k8s-app'] as const
/**
 * Where Loki looks for a service's name before it takes the container's, in its order (see aggregator/src/load/labels.ts): in the stream's
 * labels, or else in the pod's.
 */
const serviceLabels = ['service', 'app', 'application', 'app_name', 'name'] as const
/** An annotation may be 256 KiB long, and goes into every row: characters. */
const maxAnnotation = 1024

/** The function for one configuration. What it returns is to be kept by the caller: every call makes it anew. */
export function describeBy({ cluster, node, kubernetes }: DescribeOptions): Describe {
  const chosen = {
    label: compileGlobs(kubernetes.labels),
    annotation: compileGlobs(kubernetes.annotations),
    namespace_label: compileGlobs(kubernetes.namespaceLabels),
  }
  const promoted = Object.entries(kubernetes.promote)
  return ({ namespace, pod, container, uid }, containerId, facts) => {
    const place = { cluster, node, namespace, pod, container }
    const ids = { pod_uid: uid, ...present('container_id', containerId) }
    if (facts === undefined)
      return { labels: place, metadata: { ...ids, ...(kubernetes.enabled ? { partial_metadata: 'true' } : {}) } }
    const { image, imageId } = facts.containers[container] ?? {}
    return {
      labels: { ...place, ...namesOf(facts, container, promoted) },
      metadata: {
        ...ids,
        ...present('image', image),
        ...present('image_id', kubernetes.imageId ? imageId : undefined),
        ...present('workload_kind', facts.workload?.kind),
        ...present('workload_name', facts.workload?.name),
        ...pick('label', facts.labels, chosen.label),
        ...pick('annotation', facts.annotations, chosen.annotation),
        ...pick('namespace_label', facts.namespaceLabels, chosen.namespace_label),
      },
    }
  }
}

/** The stream labels that the pod's labels and its workload tell: app, service_name, and what is promoted. */
function namesOf(
  { labels, workload }: PodFacts,
  container: string,
  promote: readonly (readonly [pod: string, stream: string])[],
): Record<string, string> {
  const promoted: Record<string, string> = {}
  for (const [from, to] of promote) if (labels[from]) promoted[to] = labels[from]
  const named = promoted['app'] ?? firstOf(labels, appLabels)
  const app = named ?? workload?.name ?? container
  const service = firstOf({ ...labels, app: named ?? '', ...promoted }, serviceLabels) ?? app
  return { app, service_name: service, ...promoted }
}

function firstOf(labels: Readonly<Record<string, string>>, names: readonly string[]): string | undefined {
  const found = names.find((name) => labels[name])
  return found === undefined ? undefined : labels[found]
}

function present(name: string, value: string | undefined): Record<string, string> {
  return value ? { [name]: value } : {}
}

/** Values by `<prefix>_<name>`, the name with an underscore for all but letters and digits. */
function pick(prefix: string, values: Readonly<Record<string, string>>, wanted: NameMatcher): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    if (value !== '' && wanted(name))
      picked[`${prefix}_${name.replace(/[^A-Za-z0-9]/g, '_')}`] = value.slice(0, maxAnnotation)
  }
  return picked
}
