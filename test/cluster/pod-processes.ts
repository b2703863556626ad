/**
 * Runs the chart's pods as processes of this machine, for a node of the cluster: our programs from the sources, in a root directory of their own
 * with the pod's volumes where the pod has them, as the pod's user, in the node's network, with a cluster's DNS. What they print is in the
 * node's /var/log, as a runtime writes it. Needs root, iproute2 and dnsmasq. (What a container is beyond that, images and limits, is tested in test/images.)
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nodeFlags } from '@tributary/collector/node-flags.ts'
import { Dnsmasq } from '../harness/dnsmasq.ts'
import type { NetworkNamespace } from '../harness/namespaces.ts'
import type { ApiClient } from './api.ts'
import type { ClusterPod, PodRuntime, PodState } from './nodes.ts'
import { Volumes } from './pod-volumes.ts'

const domain = 'cluster.local'
const repository = fileURLToPath(new URL('../..', import.meta.url))
/** Where our sources are in a pod. */
const own = '/opt/tributary'
/** Milliseconds until a program that ended by itself is started again. */
const restartPause = 1000

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}

interface PodContainer {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly {
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } }
  }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly readinessProbe?: Probe
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } }
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
}

interface PodSpec {
  readonly nodeName: string
  readonly hostname?: string
  readonly subdomain?: string
  readonly restartPolicy: 'Always' | 'Never'
  readonly terminationGracePeriodSeconds: number
  readonly securityContext?: { readonly runAsUser?: number; readonly runAsGroup?: number; readonly fsGroup?: number }
  readonly containers: readonly PodContainer[]
}

const specOf = (pod: ClusterPod) => pod.spec as unknown as PodSpec

/** What an image of ours starts. */
function programOf({ image, command = [], args = [] }: PodContainer): string[] {
  const node = `${own}/node_modules/node/bin/node`
  if (command[0] === 'tributary') return [node, `${own}/cli/src/main.ts`, ...command.slice(1), ...args]
  const [, name] = /(?:^|\/)tributary\/(collector|aggregator):/.exec(image) ?? []
  if (name === undefined || command.length > 0) throw new Error(`${image}: nothing that can be started`)
  return [node, ...(name === 'collector' ? nodeFlags : []), `${own}/${name}/src/main.ts`, ...args]
}

/** On the node. */
function logPath({ metadata: { namespace, name, uid }, spec: { containers } }: ClusterPod): string {
  return `/var/log/pods/${namespace}_${name}_${uid}/${containers[0]!.name}`
}

class Running {
  child: ChildProcess
  code: number | undefined
  stopping = false
  restarts = 0
  constructor(child: ChildProcess) {
    this.child = child
  }
}

export class PodProcesses implements PodRuntime, AsyncDisposable {
  readonly #api: ApiClient
  readonly #root: string
  readonly #network: NetworkNamespace
  readonly #dns: Dnsmasq
  readonly #volumes: Volumes
  readonly #pods = new Map<string, { pod: ClusterPod; running: Running }>()
  #ports = ''
  /** The last of what the pods printed. */
  output = ''

  private constructor(api: ApiClient, root: string, network: NetworkNamespace, dns: Dnsmasq) {
    this.#api = api
    this.#root = root
    this.#network = network
    this.#dns = dns
    this.#volumes = new Volumes(api, root)
    for (const path of ['/var/log/pods', '/var/log/containers']) this.#volumes.host(path)
  }

  /** @param root a directory for everything that the node has */
  static async start(api: ApiClient, root: string, network: NetworkNamespace): Promise<PodProcesses> {
    return new PodProcesses(api, root, network, await Dnsmasq.start({ address: network.host, port: 53, domain }))
  }

  async start(pod: ClusterPod): Promise<string> {
    const directories = await this.#volumes.fill(pod)
    const { namespace, name, uid } = pod.metadata
    const container = specOf(pod).containers[0]!.name
    const link = `${name}_${namespace}_${container}-${uid.replaceAll('-', '').padEnd(64, '0')}.log`
    symlinkSync(`${logPath(pod)}/0.log`, join(this.#volumes.host('/var/log/containers'), link))
    const script = join(this.#directory(pod), 'start')
    writeFileSync(script, this.#script(pod, directories))
    const running = new Running(this.#spawn(pod, script))
    const exited = async (code: number | null) => {
      if (specOf(pod).restartPolicy === 'Never') running.code = code ?? 137
      else {
        await sleep(restartPause)
        if (running.stopping) return
        running.restarts++
        running.child = this.#spawn(pod, script)
        running.child.once('exit', exited)
      }
    }
    running.child.once('exit', exited)
    this.#pods.set(pod.metadata.uid, { pod, running })
    await this.#publish()
    return this.#network.address
  }

  async state(pod: ClusterPod): Promise<PodState> {
    const running = this.#pods.get(pod.metadata.uid)?.running
    if (running === undefined) return { ready: false, restarts: 0 }
    const { code, restarts } = running
    if (code !== undefined) return { ready: false, restarts, exitCode: code }
    const [container] = specOf(pod).containers
    const { httpGet } = container!.readinessProbe ?? {}
    if (httpGet === undefined) return { ready: true, restarts }
    const port = container!.ports!.find(({ name }) => name === httpGet.port)!.containerPort
    const url = `http://${this.#network.address}:${port}${httpGet.path}`
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined)
    return { ready: answer?.status === 200, restarts }
  }

  async stop(pod: ClusterPod): Promise<void> {
    const running = this.#pods.get(pod.metadata.uid)?.running
    if (running === undefined || running.stopping) return
    running.stopping = true
    const { containers, terminationGracePeriodSeconds } = specOf(pod)
    await sleep((containers[0]!.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1000)
    await end(running.child, terminationGracePeriodSeconds * 1000)
    this.#pods.delete(pod.metadata.uid)
    await this.#publish()
  }

  #directory({ metadata: { uid } }: ClusterPod): string {
    const directory = join(this.#root, 'pods', uid)
    mkdirSync(directory, { recursive: true })
    return directory
  }

  #spawn(pod: ClusterPod, script: string): ChildProcess {
    const [program, ...args] = [...this.#network.prefix, 'unshare', '--mount', 'bash', script]
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } })
    const { name } = pod.metadata
    const file = join(this.#volumes.host(logPath(pod)), '0.log')
    for (const stream of ['stdout', 'stderr'] as const)
      createInterface({ input: child[stream]! }).on('line', (line) => {
        this.output = `${this.output}${name}: ${line}\n`.slice(-20_000)
        appendFileSync(file, `${new Date().toISOString().replace('Z', '000000Z')} ${stream} F ${line}\n`)
      })
    return child
  }

  /** Makes the pod's root directory in a mount namespace of its own, and becomes its program there. */
  #script(pod: ClusterPod, directories: ReadonlyMap<string, string>): string {
    const { containers, securityContext = {}, nodeName } = specOf(pod)
    const container = containers[0]!
    const { namespace, name, uid } = pod.metadata
    const root = join(this.#directory(pod), 'root')
    const known: Record<string, string> = { 'metadata.name': name, 'metadata.uid': uid, 'spec.nodeName': nodeName }
    const { hostname: host, port } = new URL(this.#api.server.url)
    const environment: Record<string, string> = {
      PATH: '/usr/bin:/bin',
      KUBERNETES_SERVICE_HOST: host,
      KUBERNETES_SERVICE_PORT: port,
    }
    for (const { name: variable, value, valueFrom } of container.env ?? [])
      environment[variable] = value ?? known[valueFrom!.fieldRef.fieldPath]!
    const expand = (text: string) => text.replaceAll(/\$\((\w+)\)/g, (all, one: string) => environment[one] ?? all)
    const search = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain].join(' ')
    const { runAsUser = 0, runAsGroup = 0, fsGroup } = securityContext
    const mounts = (container.volumeMounts ?? []).flatMap(({ name: volume, mountPath, readOnly }) => {
      const to = quoted(root + mountPath)
      return [
        `mkdir -p ${to}`,
        `mount --bind ${quoted(directories.get(volume)!)} ${to}`,
        ...(readOnly ? [`mount -o remount,bind,ro ${to}`] : []),
      ]
    })
    const user = [`--reuid=${runAsUser}`, `--regid=${runAsGroup}`, fsGroup ? `--groups=${fsGroup}` : '--clear-groups']
    const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}`)
    const command = [
      'setpriv',
      ...user,
      '--no-new-privs',
      'env',
      '-i',
      ...variables,
      ...programOf(container).map(expand),
    ]
    return [
      'set -e',
      `root=${quoted(root)}`,
      `mkdir -p "$root"/{usr,proc,dev,etc,tmp,var/lib,var/run} "$root${own}"`,
      'chmod 1777 "$root/tmp"',
      'for link in bin sbin lib lib64; do [ ! -e "/$link" ] || ln -sfn "usr/$link" "$root/$link"; done',
      'for path in usr proc dev; do mount --rbind "/$path" "$root/$path"; done',
      `mount --bind ${quoted(repository)} "$root${own}"`,
      `printf 'nameserver ${this.#network.host}\\nsearch ${search}\\noptions ndots:5\\n' >"$root/etc/resolv.conf"`,
      `printf '127.0.0.1 localhost\\n' >"$root/etc/hosts"`,
      ...mounts,
      `cd /`,
      `exec chroot "$root" ${command.map(quoted).join(' ')}`,
    ].join('\n')
  }

  /** Names lead to the pods that there are. Every Service is its pods here: nothing is between. */
  async #publish(): Promise<void> {
    const { items } = await this.#api.get('/api/v1/services')
    const names: Record<string, readonly string[]> = {}
    const ports: { name: string; host: string; port: number }[] = []
    for (const { metadata, spec } of items) {
      const selector = Object.entries((spec.selector ?? {}) as Record<string, string>)
      const pods = [...this.#pods.values()].filter(
        ({ pod }) =>
          pod.metadata.namespace === metadata.namespace &&
          selector.length > 0 &&
          selector.every(([key, value]) => pod.metadata.labels[key] === value),
      )
      if (pods.length === 0) continue
      const name = `${metadata.name}.${metadata.namespace}.svc.${domain}`
      names[name] = [this.#network.address]
      for (const { pod } of pods) {
        const { hostname, subdomain } = specOf(pod)
        if (hostname === undefined || subdomain !== metadata.name) continue
        names[`${hostname}.${name}`] = [this.#network.address]
        for (const port of spec.ports)
          ports.push({ name: `_${port.name}._tcp.${name}`, host: `${hostname}.${name}`, port: port.port })
      }
    }
    this.#dns.hosts(names)
    // These it takes only at its start.
    if (JSON.stringify(ports) === this.#ports) return
    this.#ports = JSON.stringify(ports)
    this.#dns.services(ports)
    await this.#dns.pause()
    await this.#dns.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#pods.values()].map(({ running }) => running)
    for (const running of all) running.stopping = true
    await Promise.all(all.map(({ child }) => end(child, 0)))
    await this.#dns[Symbol.asyncDispose]()
  }
}

async function end(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  if (graceMs > 0) child.kill('SIGTERM')
  await exited
  clearTimeout(timer)
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
