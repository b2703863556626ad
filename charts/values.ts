/**
 * The chart's values: with the processes' own schemas (`configurations`) the only source of values.yaml, values.schema.json and the tables
 * in the chart's README.
 */
import { z } from 'zod'
import { aggregatorConfigSchema, collectorConfigSchema, type JsonSchema, storeSchema } from './process-config.ts'

/** Part of a Kubernetes object, which Kubernetes itself checks. */
const part = (what: string, standard: Record<string, unknown> = {}) =>
  z.record(z.string(), z.unknown()).default(standard).describe(what)
const parts = (what: string, standard: Record<string, unknown>[] = []) =>
  z.array(z.record(z.string(), z.unknown())).default(standard).describe(what)
const texts = (what: string) => z.record(z.string(), z.string()).default({}).describe(what)
const text = (what: string, standard = '') => z.string().default(standard).describe(what)
const flag = (standard: boolean, what: string) => z.boolean().default(standard).describe(what)
const count = (standard: number, what: string) => z.int().min(0).default(standard).describe(what)
const section = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject(shape).prefault({} as never)

const image = (repository: string) =>
  section({
    repository: text('Image, with its registry where it has one.', repository),
    tag: text("Its tag. Default: the chart's appVersion."),
    digest: text('Its digest, `sha256:…`; wins over the tag.'),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('When it is pulled.'),
  })

const serviceAccount = section({
  create: flag(true, 'Make a service account. Without it `name` must exist.'),
  name: text("Its name. Default: the workload's."),
  annotations: texts('Its annotations.'),
})

/** What both workloads have. */
const pod = {
  secrets: z
    .array(z.string().min(1))
    .default([])
    .describe('Secrets to mount, at `/etc/tributary/secrets/<name>`: what `…File` keys of `config` name.'),
  env: parts('Environment variables, for instance for those that `config` names.'),
  podAnnotations: texts('Annotations of the pods.'),
  podLabels: texts('Labels of the pods, beside those that select them.'),
  nodeSelector: texts('Labels that a node must have.'),
  affinity: part('Affinity of the pods.'),
  securityContext: part(
    "Merged into the pods' security context, such as `seLinuxOptions: {type: spc_t}` where SELinux guards the node's files.",
  ),
  serviceAccount,
}

const collector = section({
  enabled: flag(true, 'Run a collector on every node.'),
  image: image('tributary/collector'),
  config: part("The collector's configuration file (docs/configuration.md), but for the keys that the chart sets."),
  ownLogs: section({
    keep: z
      .enum(['warnings', 'all', 'none'])
      .default('warnings')
      .describe(
        "What is kept of collectors' and aggregators' own logs, which could feed on themselves. `warnings`: all but what is below a warning.",
      ),
    linesPerSecond: z.number().positive().default(1).describe('How much of it each pod may bring, with `warnings`.'),
    burst: z.int().min(1).default(100).describe('How many of these may come at once.'),
  }),
  hostPort: flag(
    false,
    'Open the port of the Forward input on the node. Needs `collector.config.input.forward.enabled`.',
  ),
  hostPaths: z
    .array(z.string().regex(/^\//))
    .min(1)
    .default(['/var/log'])
    .describe(
      "Directories of the node mounted read-only: where logs are, and what links there lead to (Docker's: /var/lib/docker/containers).",
    ),
  stateHostPath: z
    .string()
    .regex(/^\//)
    .default('/var/lib/tributary/collector')
    .describe('Directory of the node for checkpoints and spool. Made if it is missing.'),
  maxUnavailable: z
    .union([z.int().min(0), z.string().regex(/^\d+%$/)])
    .default('10%')
    .describe('Nodes without a collector during an update. Their files wait.'),
  priorityClassName: text("The pods' priority, such as system-node-critical, so that a full node keeps its collector."),
  tolerations: parts('Default: every node, whatever its taints.', [{ operator: 'Exists' }]),
  resources: part('What the pods ask for and may take.', {
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { memory: '200Mi' },
  }),
  ...pod,
})

const aggregator = section({
  enabled: flag(true, 'Run aggregators. Without it `collector.config.aggregator.address` says where they are.'),
  replicas: z.int().min(1).default(1).describe('How many. More than one need `store.engine: clickhouse`.'),
  image: image('tributary/aggregator'),
  config: part(
    "The aggregator's configuration file (docs/configuration.md), but for `store` and the keys that the chart sets.",
  ),
  persistence: section({
    size: text('Size of the volume of each aggregator: write-ahead log, ledger, and the embedded store.', '50Gi'),
    storageClassName: text("Its storage class. Default: the cluster's."),
    annotations: texts('Annotations of its claim.'),
  }),
  service: section({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']).default('ClusterIP').describe('Type of the Service.'),
    annotations: texts('Its annotations.'),
  }),
  preStopSeconds: count(5, 'How long a pod that is to end goes on as before, until the Service has left it out.'),
  podDisruptionBudget: section({
    enabled: flag(true, 'Let a drain of nodes take only so many at a time.'),
    maxUnavailable: z
      .union([z.int().min(1), z.string().regex(/^\d+%$/)])
      .default(1)
      .describe('How many.'),
  }),
  autoscaling: section({
    enabled: flag(false, 'Let a HorizontalPodAutoscaler choose `replicas`. Needs `store.engine: clickhouse`.'),
    minReplicas: z.int().min(1).default(2).describe('At least so many.'),
    maxReplicas: z.int().min(1).default(6).describe('At most so many.'),
    cpuUtilization: z.int().min(1).default(70).describe('Use of the requested CPU to aim at, percent.'),
  }),
  topologySpread: section({
    topologyKey: text('Label of nodes over whose values the pods are spread.', 'kubernetes.io/hostname'),
    whenUnsatisfiable: z
      .enum(['ScheduleAnyway', 'DoNotSchedule'])
      .default('ScheduleAnyway')
      .describe('Whether a pod waits where they cannot be.'),
  }),
  priorityClassName: text("The pods' priority."),
  tolerations: parts('Taints that the pods tolerate.'),
  resources: part('What the pods ask for and may take.', {
    requests: { cpu: '250m', memory: '1Gi' },
    limits: { memory: '2Gi' },
  }),
  ...pod,
})

const forward = section({
  auth: section({
    enabled: flag(true, 'Ask senders for a shared key.'),
    existingSecret: text('Secret that holds it, key `shared-key`. Default: one is made, and kept by upgrades.'),
  }),
  tls: section({
    enabled: flag(true, 'Encrypt, and let collectors check that they speak to an aggregator.'),
    mutual: flag(false, 'Let aggregators check the certificates of senders too.'),
    existingSecrets: section({
      aggregator: text(
        'Secret with `tls.crt`, `tls.key` and `ca.crt` for aggregators. Default: one is made, and kept by upgrades.',
      ),
      collector: text('The same for collectors; without `tls.mutual`, `ca.crt` is enough.'),
    }),
    certManager: section({
      enabled: flag(false, 'Let cert-manager make the certificates.'),
      issuerRef: part('Issuer that signs them. Default: one is made that signs for itself.'),
    }),
  }),
})

const peers = (what: string) => parts(`${what}, as a list of NetworkPolicyPeer.`)

/** The chart's values, in the order of values.yaml. */
export const values = z.strictObject({
  cluster: text('Name of the cluster, the label `cluster` of all streams.', 'default'),
  store: part(
    'Where rows are kept, and how long (docs/configuration.md, `store`): `engine: embedded` on the volume of the one aggregator, or `engine: clickhouse` with `clickhouse.url`.',
    { engine: 'embedded', retention: '7d' },
  ),
  clickhousePassword: section({
    existingSecret: text('Secret that holds the password of `store.clickhouse.username`.'),
    key: text('Its key.', 'password'),
  }),
  collector,
  aggregator,
  forward,
  networkPolicy: section({
    enabled: flag(true, 'Let into pods only what is named here, and what belongs to the release.'),
    clients: peers('Who may query, push and scrape, besides pods of the same namespace'),
    senders: peers('Who may send Forward and syslog to aggregators, besides our collectors'),
  }),
  rbac: section({
    create: flag(
      true,
      'Make the role by which collectors watch pods, and with `namespaceLabels` namespaces, and its binding.',
    ),
  }),
  ingress: section({
    enabled: flag(false, "Make an Ingress for the aggregator's HTTP port. Set credentials before you do."),
    className: text('Its class.'),
    annotations: texts('Its annotations.'),
    host: text('Host name it answers to.'),
    tlsSecret: text('Secret with the certificate for that host. Default: no TLS.'),
  }),
  httpRoute: section({
    enabled: flag(false, 'Make an HTTPRoute of the Gateway API for the same port. Set credentials before you do.'),
    annotations: texts('Its annotations.'),
    parentRefs: parts('Gateways it belongs to.'),
    hostnames: z.array(z.string()).default([]).describe('Host names it answers to.'),
  }),
  monitoring: section({
    serviceMonitor: section({
      enabled: flag(false, 'Make a ServiceMonitor for the aggregators (Prometheus Operator).'),
      interval: text('How often they are scraped.', '30s'),
      labels: texts('Its labels, by which Prometheus chooses.'),
      tlsConfig: part(
        "Where HTTP is HTTPS: whom Prometheus trusts, such as `ca`. `serverName` is the Service's unless it is said.",
      ),
    }),
    podMonitor: section({
      enabled: flag(false, 'Make a PodMonitor for the collectors (Prometheus Operator).'),
      interval: text('How often they are scraped.', '30s'),
      labels: texts('Its labels, by which Prometheus chooses.'),
    }),
    prometheusRule: section({
      enabled: flag(false, 'Make a PrometheusRule with alerts (Prometheus Operator).'),
      labels: texts('Its labels, by which Prometheus chooses.'),
    }),
    dashboards: section({
      enabled: flag(false, "Make ConfigMaps with dashboards, for Grafana's sidecar."),
      labels: z
        .record(z.string(), z.string())
        .default({ grafana_dashboard: '1' })
        .describe('Their labels, by which the sidecar chooses.'),
      annotations: texts('Their annotations, such as the folder.'),
    }),
    datasource: section({
      enabled: flag(false, "Make a ConfigMap with a Loki data source, for Grafana's sidecar."),
      labels: z
        .record(z.string(), z.string())
        .default({ grafana_datasource: '1' })
        .describe('Its labels, by which the sidecar chooses.'),
      extra: part('Merged into the data source: credentials, for instance.'),
    }),
  }),
  test: section({
    enabled: flag(true, 'Let `helm test` write lines and find each of them.'),
    lines: z.int().min(1).max(100_000).default(100).describe('How many lines.'),
    timeout: text('How long they may take to be found.', '3m'),
    secrets: z.array(z.string().min(1)).default([]).describe('Secrets to mount, at `/etc/tributary/secrets/<name>`.'),
    env: parts(
      'Environment variables: `TRIBUTARY_TOKEN`, or `TRIBUTARY_USERNAME` and `TRIBUTARY_PASSWORD`, where the API asks for credentials; `TRIBUTARY_TENANT`; `NODE_EXTRA_CA_CERTS`, the file of an authority that signed its certificate.',
    ),
  }),
  imagePullSecrets: parts('Secrets to pull images with.'),
  commonLabels: texts('Labels of every object.'),
  nameOverride: text("Instead of the chart's name."),
  fullnameOverride: text('How objects are called. Default: release and name.'),
})

/** Values whose schema is that of a process's configuration. */
export const configurations: Readonly<Record<string, () => JsonSchema>> = {
  store: storeSchema,
  'collector.config': collectorConfigSchema,
  'aggregator.config': aggregatorConfigSchema,
}
