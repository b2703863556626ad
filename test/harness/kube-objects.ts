/** Pods as the Kubernetes API describes them. */
import { randomUUID } from 'node:crypto'

export interface KubeObject {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly resourceVersion?: string
    [key: string]: unknown
  }
  readonly [key: string]: unknown
}

export interface PodShape {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly node?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly owner?: { readonly kind: string; readonly name: string }
  readonly containers?: readonly string[]
  readonly ip?: string
  readonly hostNetwork?: boolean
  readonly phase?: string
}

/** A pod with the weight of a real one. */
export function makePod(shape: PodShape): KubeObject {
  const {
    name,
    namespace = 'default',
    uid = randomUUID(),
    node = 'n1',
    labels = {},
    annotations = {},
    owner,
    ip,
  } = shape
  const { containers = ['main'], hostNetwork = false, phase = 'Running' } = shape
  const ownerReferences = owner ? [{ apiVersion: 'apps/v1', ...owner, uid: randomUUID(), controller: true }] : []
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      labels,
      annotations,
      ownerReferences,
      managedFields: Array.from({ length: 3 }, () => ({
        manager: 'kubelet',
        fieldsV1: { 'f:status': { 'f:x': ']},{["\\' } },
      })),
    },
    spec: {
      nodeName: node,
      hostNetwork,
      containers: containers.map((one) => ({ name: one, image: `registry/${one}:1` })),
    },
    status: {
      phase,
      ...(ip ? { podIP: ip, podIPs: [{ ip }] } : {}),
      containerStatuses: containers.map((one) => ({ name: one, imageID: `registry/${one}@sha256:ab` })),
    },
  }
}
