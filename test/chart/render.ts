/** The chart as helm renders it. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'

export const chart = fileURLToPath(new URL('../../charts/tributary', import.meta.url))

export type Tree = { readonly [key: string]: unknown }

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: Tree
  readonly data: Readonly<Record<string, string>>
  readonly [key: string]: unknown
}

export interface Ran {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, with a text as its input. */
export function run(program: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, stdout, stderr }),
    )
    // What ends without reading has said why.
    child.stdin!.on('error', () => {})
    child.stdin!.end(input)
  })
}

export interface RenderOptions {
  readonly release?: string
  readonly directory?: string
}

/** `helm template` with values; its output as text, or why it refused. */
export function render(
  helm: string,
  values: Tree,
  { release = 'logs', directory = chart }: RenderOptions = {},
): Promise<Ran> {
  return run(helm, ['template', release, directory, '--namespace', 'logging', '--values', '-'], JSON.stringify(values))
}

/** The objects of a rendering that must succeed. */
export async function objectsOf(rendering: Promise<Ran>): Promise<KubernetesObject[]> {
  const { ok, stdout, stderr } = await rendering
  if (!ok) throw new Error(stderr)
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null)
}

export function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name)
  if (found.length !== 1) throw new Error(`${found.length} objects are ${kind} ${name}`)
  return found[0]!
}

/** The scenarios of charts/tributary/ci: name and values. */
export function scenarios(): [name: string, values: Tree][] {
  const directory = `${chart}/ci`
  return readdirSync(directory).map((file) => [
    file.replace('-values.yaml', ''),
    parse(readFileSync(`${directory}/${file}`, 'utf8')) as Tree,
  ])
}

/** Random each time: keys and certificates, which nothing should depend on. */
export function withoutSecrets(objects: readonly KubernetesObject[]): KubernetesObject[] {
  return objects.map((object) => {
    if (object.kind !== 'Secret') return object
    return { ...object, data: Object.fromEntries(Object.keys(object.data).map((key) => [key, 'random'])) }
  })
}

/** A copy of the values with one of them set. */
export function withValue(values: Tree, path: string, value: unknown): Tree {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  const inner = (values[key] ?? {}) as Tree
  return { ...values, [key]: rest.length === 0 ? value : withValue(inner, rest.join('.'), value) }
}
