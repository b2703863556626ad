/**
 * A node of a cluster, played by Docker: it has the files of a node, runs pods that the chart renders with them, and a DNS server that knows
 * pods and Services by the names they have in a cluster. Needs root.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { find, type KubernetesObject } from '../chart/render.ts'
import { Dnsmasq } from '../harness/dnsmasq.ts'
import { node, until } from '../harness/processes.ts'
import { addressOf, answers, docker, inspect, uniqueName } from './docker.ts'
import { type Container, type PodFields, type PodSpec, podSpecOf, quantity, runArguments, type Volume } from './pod.ts'

const domain = 'cluster.local'
/** As a kubelet writes resolv.conf for pods. */
const resolving = (namespace: string) => [
  ...[`${namespace}.svc.${domain}`, `svc.${domain}`, domain].flatMap((one) => ['--dns-search', one]),
  ...['--dns-option', 'ndots:5'],
]

/** Secrets that are not the chart's: name, then files. */
export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>

export class Machine {
  /** What is / on the node. */
  readonly root = mkdtempSync(join(tmpdir(), 'tributary-machine-'))
  readonly namespace: string
  readonly #network = uniqueName(`node${made++}`)
  readonly #pods = new Set<Pod>()
  readonly #others = new Map<string, string>()
  readonly #objects: readonly KubernetesObject[]
  readonly #secrets: Secrets
  #dns: Dnsmasq | undefined
  #gateway = ''

  private constructor(objects: readonly KubernetesObject[], namespace: string, secrets: Secrets) {
    this.#objects = objects
    this.namespace = namespace
    this.#secrets = secrets
    chmodSync(this.root, 0o755)
  }

  /** @param objects what helm rendered, for a namespace */
  static async start(objects: readonly KubernetesObject[], namespace: string, secrets: Secrets = {}): Promise<Machine> {
    const machine = new Machine(objects, namespace, secrets)
    try {
      await docker('network', 'create', machine.#network)
      const { IPAM } = await inspect<{ IPAM: { Config: [{ Gateway: string }] } }>(machine.#network)
      machine.#gateway = IPAM.Config[0].Gateway
      machine.#dns = await Dnsmasq.start({ address: machine.#gateway, port: 53, domain })
    } catch (error) {
      await machine[Symbol.asyncDispose]()
      throw error
    }
    return machine
  }

  /** A directory of the node, made as root has it. */
  directory(path: string): string {
    const own = join(this.root, path)
    mkdirSync(own, { recursive: true, mode: 0o755 })
    return own
  }

  /**
   * A pod of a workload; it does not run yet.
   *
   * @param services names of headless Services that lead to it
   */
  pod(
    kind: 'DaemonSet' | 'StatefulSet' | 'Pod',
    workload: string,
    name: string,
    services: readonly string[] = [],
  ): Pod {
    const object = find(this.#objects, kind, workload)
    const claims = (object.spec['volumeClaimTemplates'] ?? []) as readonly { metadata: { name: string } }[]
    const pod = new Pod(
      this,
      podSpecOf(object),
      { name, uid: randomUUID(), node },
      services,
      claims.map(({ metadata }) => metadata.name),
    )
    this.#pods.add(pod)
    return pod
  }

  /** Arguments of `docker run` that put a container into the cluster's network. */
  networkArguments(): readonly string[] {
    return ['--network', this.#network, '--dns', this.#gateway, ...resolving(this.namespace)]
  }

  /** Somebody else's Service, such as `clickhouse.databases`. */
  name(service: string, address: string): void {
    this.#others.set(service, address)
    this.publish()
  }

  /** Pods and Services have the addresses that they have now. */
  publish(): void {
    const addresses = new Map([...this.#others].map(([name, address]) => [`${name}.svc.${domain}`, [address]]))
    for (const pod of this.#pods) {
      if (pod.address === undefined) continue
      for (const service of pod.services) {
        const name = `${service}.${this.namespace}.svc.${domain}`
        addresses.set(name, [...(addresses.get(name) ?? []), pod.address])
        addresses.set(`${pod.fields.name}.${name}`, [pod.address])
      }
    }
    this.#dns!.hosts(Object.fromEntries(addresses))
  }

  /** Lets the names of a headless Service's ports be asked for, of pods that there may be. Before anybody asks. */
  async publishPorts(service: string, pods: readonly string[]): Promise<void> {
    const { spec } = find(this.#objects, 'Service', service)
    const name = `${service}.${this.namespace}.svc.${domain}`
    const ports = spec['ports'] as readonly { name: string; port: number }[]
    this.#dns!.services(
      ports.flatMap((port) =>
        pods.map((pod) => ({ name: `_${port.name}._tcp.${name}`, host: `${pod}.${name}`, port: port.port })),
      ),
    )
    await this.#dns!.pause()
    await this.#dns!.resume()
  }

  /** Fills a volume as a kubelet does; where its files are. */
  volume(volume: Volume, { fields, spec }: Pod): string {
    const { configMap, secret, hostPath, emptyDir, name } = volume
    const group = spec.securityContext.fsGroup ?? 0
    if (hostPath) {
      const { path, type } = hostPath
      if (type === undefined || type === 'DirectoryOrCreate') return this.directory(path)
      throw new Error(`hostPath of type ${type} is not understood`)
    }
    const own = join(this.directory('/var/lib/kubelet/pods'), fields.uid, name)
    // An emptyDir lives as long as its pod: who is replaced has a new one.
    if (emptyDir) {
      rmSync(own, { recursive: true, force: true })
      mkdirSync(own, { recursive: true })
      chmodSync(own, 0o777)
      chownSync(own, 0, group)
      if (emptyDir.sizeLimit !== undefined) quantity(emptyDir.sizeLimit)
      return own
    }
    mkdirSync(own, { recursive: true })
    const files = configMap ? this.#configMap(configMap.name) : this.#secret(secret?.secretName)
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(join(own, file), content)
      chmodSync(join(own, file), secret?.defaultMode ?? 0o644)
      chownSync(join(own, file), 0, group)
    }
    return own
  }

  #configMap(name: string): Readonly<Record<string, string>> {
    return find(this.#objects, 'ConfigMap', name).data
  }

  #secret(name: string | undefined): Readonly<Record<string, string | Buffer>> {
    if (name === undefined) throw new Error('a volume of this kind is not understood')
    const given = this.#secrets[name]
    if (given) return given
    const { data } = find(this.#objects, 'Secret', name)
    return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]))
  }

  /** Ends all pods, and removes what is on disk unless `KEEP_TEST_DATA` is set. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pods].map((pod) => pod.kill()))
    await this.#dns?.[Symbol.asyncDispose]()
    await docker('network', 'rm', this.#network).catch(() => {})
    if (process.env['KEEP_TEST_DATA']) console.log(`kept: ${this.root}`)
    else rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}

let made = 0

export class Pod {
  readonly fields: PodFields
  readonly spec: PodSpec
  readonly services: readonly string[]
  readonly #machine: Machine
  readonly #claims: readonly string[]
  readonly container: string
  #runs = false
  /** Its address while it runs. */
  address: string | undefined
  /** Base of its HTTP port, on this machine. */
  url = ''
  /** The last of what its containers printed. */
  output = ''

  constructor(
    machine: Machine,
    spec: PodSpec,
    fields: PodFields,
    services: readonly string[],
    claims: readonly string[],
  ) {
    this.#machine = machine
    this.spec = spec
    this.fields = fields
    this.services = services
    this.#claims = claims
    this.container = uniqueName(fields.uid.slice(0, 8))
  }

  get #one(): Container {
    return this.spec.containers[0]!
  }

  /** @param more arguments of `docker run` */
  async start(...more: string[]): Promise<void> {
    const directories = new Map((this.spec.volumes ?? []).map((one) => [one.name, this.#machine.volume(one, this)]))
    for (const claim of this.#claims) directories.set(claim, this.#claim(claim))
    const http = this.#one.ports?.find(({ name }) => name === 'http')?.containerPort
    await docker(
      ...['run', '--detach', '--name', this.container, '--hostname', this.fields.name, ...more],
      ...(http === undefined ? [] : ['--publish', `127.0.0.1::${http}`]),
      ...this.#machine.networkArguments(),
      ...runArguments(this.spec, this.fields, directories),
    )
    this.#runs = true
    this.address = await addressOf(this.container)
    if (http !== undefined) this.url = `http://${await docker('port', this.container, String(http))}`
    this.#machine.publish()
  }

  /** A volume that a pod of the same name finds again, with the group that the pod asks for. */
  #claim(name: string): string {
    const own = this.#machine.directory(`/volumes/${name}-${this.fields.name}`)
    const group = this.spec.securityContext.fsGroup ?? 0
    if (readdirSync(own).length > 0) return own
    lchownSync(own, 0, group)
    chmodSync(own, 0o2775)
    return own
  }

  /** Waits until the probe of the manifest succeeds. */
  async probed(which: 'startupProbe' | 'readinessProbe', deadlineMs = 120_000): Promise<void> {
    const { path } = this.#one[which]!.httpGet
    const said = () => `${this.fields.name}: ${path} does not say 200`
    await until(() => answers(this.url + path), deadlineMs, said).catch(async (error) => {
      throw new Error(await docker('logs', '--tail', '30', this.container), { cause: error })
    })
  }

  /** Kills it without a warning; the next start is a container of its own. */
  async kill(): Promise<void> {
    if (!this.#runs) return
    await docker('kill', this.container).catch(() => {})
    await this.#remove()
  }

  /** Ends it as a kubelet does; its exit code. */
  async stop(): Promise<number> {
    await docker('stop', '--time', String(this.spec.terminationGracePeriodSeconds), this.container)
    const { ExitCode } = await this.state()
    await this.#remove()
    return ExitCode
  }

  /** Waits until it ends by itself; its exit code. Meanwhile its log is written, as a runtime does on the node. */
  async ended(): Promise<number> {
    const { name, namespace, uid } = { ...this.fields, namespace: this.#machine.namespace }
    const directory = this.#machine.directory(`/var/log/pods/${namespace}_${name}_${uid}/${this.#one.name}`)
    const link = `${name}_${namespace}_${this.#one.name}-${'c'.repeat(64)}.log`
    const onNode = `/var/log/pods/${namespace}_${name}_${uid}/${this.#one.name}/0.log`
    symlinkSync(onNode, join(this.#machine.directory('/var/log/containers'), link))
    const said = spawn('docker', ['logs', '--follow', this.container], { stdio: ['ignore', 'pipe', 'ignore'] })
    for await (const line of createInterface({ input: said.stdout }))
      appendFileSync(join(directory, '0.log'), `${new Date().toISOString().replace('Z', '000000Z')} stdout F ${line}\n`)
    const code = Number(await docker('wait', this.container))
    await this.#remove()
    return code
  }

  async state(): Promise<{ readonly ExitCode: number; readonly OOMKilled: boolean; readonly Running: boolean }> {
    return (await inspect<{ State: { ExitCode: number; OOMKilled: boolean; Running: boolean } }>(this.container)).State
  }

  async #remove(): Promise<void> {
    this.#runs = false
    this.address = undefined
    this.output = await docker('logs', '--tail', '50', this.container).catch(() => '')
    await docker('rm', '--force', this.container)
  }
}
