/** The configurations that the pages show are ones that the processes, `tributary test` and the chart take. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { goldenConfig } from '@tributary/collector/golden/golden-config.ts'
import { detectorsBy } from '@tributary/collector/multiline/detectors.ts'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { values } from '../charts/values.ts'
import { metricsPage } from './metrics-page.ts'

interface Example {
  /** `docs/filters.md:6`: the line of the fence. */
  readonly at: string
  readonly text: string
}

const main = fileURLToPath(import.meta.resolve('tributary/main.ts'))
const root = new URL('../', import.meta.url)
const pages = [
  'README.md',
  'charts/tributary/README.md',
  ...readdirSync(new URL('docs', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

function examplesOf(page: string): Example[] {
  const text = readFileSync(new URL(page, root), 'utf8')
  return [...text.matchAll(/^ *```yaml\n(.*?)^ *```$/gms)].map((match) => ({
    at: `${page}:${text.slice(0, match.index).split('\n').length}`,
    text: match[1]!,
  }))
}

type Tree = Readonly<Record<string, unknown>>

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Top-level keys of what is not ours: parts of Kubernetes' objects, and configurations of others. */
const foreignKeys = new Set([
  'metadata',
  'env',
  'apiVersion',
  'pipeline',
  'spec',
  'sinks',
  'clients',
  'datasources',
  'services',
])

/** What a page leaves out because it is about something else, and secrets that are in the environment. */
const collectorBasics = { aggregator: { address: 'aggregator:24224' } }
const environment = { NODE_NAME: 'n', FORWARD_KEY: 'k', CLICKHOUSE_PASSWORD: 'p' }

const kinds = {
  collector: (tree: Tree) => {
    const whole = { ...tree, aggregator: { ...collectorBasics.aggregator, ...(tree['aggregator'] as Tree) } }
    return parseConfig('example', stringify(whole), collectorConfig, environment)
  },
  aggregator: (tree: Tree) => {
    const store = tree['store'] as Tree | undefined
    // A page about one key of a ClickHouse names no server.
    const whole =
      store?.['clickhouse'] && store['engine'] === undefined ? { ...tree, store: inClickHouse(store) } : tree
    return parseConfig('example', stringify(whole), aggregatorConfig, environment)
  },
  values: (tree: Tree) => {
    const { collector = {}, aggregator = {}, store } = tree as Record<string, Tree>
    values.parse(tree)
    if (isTree(collector['config'])) kinds.collector(collector['config'])
    const config = isTree(aggregator['config']) ? aggregator['config'] : {}
    const replicas = aggregator['replicas'] === undefined ? {} : { replicas: aggregator['replicas'] }
    kinds.aggregator({ ...config, ...replicas, ...(store ? { store } : {}) })
  },
  test: (tree: Tree) => goldenConfig.parse(tree),
}
type Kind = keyof typeof kinds

function inClickHouse(store: Tree): Tree {
  return {
    ...store,
    engine: 'clickhouse',
    clickhouse: { url: 'http://clickhouse:8123', ...(store['clickhouse'] as Tree) },
  }
}

/** What a block says it is, in its first line, or what its keys are of. Undefined for others' configurations. */
function kindOf({ at, text }: Example, tree: Tree): Kind | undefined {
  const told = /^# (collector|aggregator|values)\.yaml/.exec(text)?.[1]
  if (told !== undefined) return told as Kind
  const keys = Object.keys(tree)
  if (keys.some((key) => foreignKeys.has(key))) return undefined
  if (keys.includes('cases')) return 'test'
  const known = (shape: object) => keys.every((key) => key in shape)
  if (known(aggregatorConfig.shape)) return 'aggregator'
  if (known(collectorConfig.shape)) return isValues(tree) ? 'values' : 'collector'
  if (known(values.shape)) return 'values'
  throw new Error(`${at}: nobody takes these keys together: ${keys.join(', ')}`)
}

/** `aggregator` is a section of the collector's, with an address, and of the chart's. */
function isValues(tree: Tree): boolean {
  return ['replicas', 'config', 'secrets', 'persistence'].some((key) => key in ((tree['aggregator'] ?? {}) as Tree))
}

const examples = pages.flatMap(examplesOf)

test('there are examples on the pages', () => {
  expect(examples.length).toBeGreaterThan(20)
})

test.for(examples.map((example) => [example.at, example] as const))('%s is taken', async ([, example]) => {
  for (const document of parseAllDocuments(example.text)) {
    expect(document.errors).toEqual([])
    const tree: unknown = parse(document.toString())
    if (!isTree(tree)) throw new Error('it is no map')
    const kind = kindOf(example, tree)
    if (kind === undefined) continue
    const taken = kinds[kind](tree)
    if (kind === 'collector') await detectorsBy((taken as ReturnType<typeof kinds.collector>).multiline, 'example')
  }
})

test('every metric and every command that a page names exists', async () => {
  const metrics = metricsPage()
  const { stdout } = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' })
  const commands = new Set([...stdout.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name]) => name))
  const unknown: string[] = []
  for (const page of pages) {
    const text = readFileSync(new URL(page, root), 'utf8')
    for (const [name] of text.matchAll(/\b(collector|aggregator)_[a-z_]*[a-z]\b/g))
      if (!metrics.includes(`\`${name}\``) && !/_(bucket|count|sum)$|^[a-z]+_(process|nodejs)_/.test(name))
        unknown.push(`${page}: ${name}`)
    for (const [, name] of text.matchAll(/(?:npx |`|\$ |-- )tributary ([a-z]+)\b/g))
      if (!commands.has(name) && !/^(in|is|as)$/.test(name!)) unknown.push(`${page}: tributary ${name}`)
  }
  expect(unknown).toEqual([])
  expect(commands.size).toBeGreaterThan(10)
})

/** As GitHub makes it of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')

test('every link from a page to another, or to a place on one, leads somewhere', () => {
  const broken: string[] = []
  for (const page of pages) {
    const text = readFileSync(new URL(page, root), 'utf8').replace(/^```.*?^```/gms, '')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue
      const [path, anchor] = target!.split('#')
      const url = path === '' ? new URL(page, root) : new URL(path!, new URL(page, root))
      if (!existsSync(url)) broken.push(`${page}: ${target}`)
      else if (anchor !== undefined && url.pathname.endsWith('.md')) {
        const headings = [...readFileSync(url, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!))
        if (!headings.includes(anchor)) broken.push(`${page}: ${target}`)
      }
    }
  }
  expect(broken).toEqual([])
})

test('an example with a key that does not exist is refused', () => {
  expect(() => kinds.collector({ logs: { pathh: '/x' } })).toThrow(/logs.pathh/)
  expect(() => kinds.values({ collector: { config: { nodee: 'x' } } })).toThrow(/nodee/)
  expect(() => kindOf({ at: 'x', text: '' }, { nonsense: 1 })).toThrow(/nonsense/)
})
