import { duration, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'

/** Labels that say where a line is from; no pod label may stand in for them. */
export const placeLabels = ['cluster', 'node', 'namespace', 'pod', 'container', 'stream', 'filename']

const labelName = z
  .string()
  .regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]*$/, 'a label name has letters, digits and underscores, and no digit first')
  .refine((name) => !placeLabels.includes(name), {
    error: ({ input }) => `"${input}" is where the line is from; choose another name`,
  })

const patterns = z.array(z.string().min(1)).default([])

/** The section `kubernetes` of the collector's configuration. */
export const kubernetesConfig = z
  .strictObject({
    enabled: z
      .boolean()
      .default(() => process.env['KUBERNETES_SERVICE_HOST'] !== undefined)
      .describe(
        "Ask the Kubernetes API for this node's pods: labels, workload, image, annotations. Default: true in a cluster (where KUBERNETES_SERVICE_HOST is set). `node` must then be the node's name in Kubernetes. Without it, or while no API server answers, records carry what the path says.",
      ),
    kubeconfig: z
      .string()
      .min(1)
      .optional()
      .describe("Kubeconfig file to use, with its current context. Default: the pod's service account."),
    labels: patterns.describe(
      'Pod labels that become structured metadata, as `label_<name>`: names, or patterns with `*` and `?`.',
    ),
    annotations: patterns.describe(
      'Pod annotations that become structured metadata, as `annotation_<name>`. Likewise.',
    ),
    namespaceLabels: patterns.describe(
      'Labels of namespaces that become structured metadata, as `namespace_label_<name>`. Likewise. Empty: namespaces are never asked for.',
    ),
    promote: z
      .record(z.string().min(1), labelName)
      .default({})
      .describe(
        'Pod labels that become stream labels: name of the pod label to name of the stream label, such as `team: team`. Each value makes streams of its own: promote only what has few. `app` and `service_name` may be set in this way.',
      ),
    imageId: z
      .boolean()
      .default(false)
      .describe("Add the image's digest, as `image_id`, to the structured metadata beside `image`."),
    metadataTimeout: wait
      .prefault('5s')
      .describe(
        'How long the first records of a pod that is not known yet wait for it. Then they go with what the path says, and `partial_metadata`.',
      ),
    keepDeleted: duration
      .prefault('1h')
      .describe('How long what is known of a deleted pod is kept for what is still unread of its logs.'),
  })
  .prefault({})

export type KubernetesConfig = z.output<typeof kubernetesConfig>
