/** docker-compose.yml with the commands of our documents: what is written is found once, survives `down`, and three aggregators share it. */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { blocksOf, commandsOf } from '../images/commands.ts'
import { buildImages, dockerMissing, repository } from '../images/docker.ts'
import { Compose } from './compose.ts'

const missing = dockerMissing('compose')
const readme = () => commandsOf('README.md', 'With Docker')

interface Streams {
  readonly data: {
    readonly result: readonly {
      readonly stream: Readonly<Record<string, string>>
      readonly values: readonly (readonly [string, string])[]
    }[]
  }
}

/** The numbers of the lines that each container wrote, by its id, as the API answers them. */
async function numbersOf(url: string, namespace: string): Promise<Map<string, number[]>> {
  const numbers = new Map<string, number[]>()
  const pageSize = 5000
  let start = BigInt(Date.now() - 3600_000) * 1_000_000n
  for (;;) {
    const parameters = new URLSearchParams({
      query: `{namespace="${namespace}"}`,
      start: String(start),
      limit: String(pageSize),
      direction: 'forward',
    })
    const answer = await fetch(`${url}/loki/api/v1/query_range?${parameters}`, { signal: AbortSignal.timeout(60_000) })
    if (!answer.ok) throw new Error(await answer.text())
    const { result } = ((await answer.json()) as Streams).data
    const lines = result.flatMap(({ stream, values }) => values.map(([time, line]) => ({ stream, time, line })))
    lines.sort((a, b) => (a.time < b.time ? -1 : 1))
    // A page may end between lines of one time, of several containers: these are asked for again.
    const last = lines.at(-1)?.time
    const whole = lines.length < pageSize ? lines : lines.filter(({ time }) => time !== last)
    for (const { stream, line } of whole) {
      const id = stream['container_id']!
      const own = numbers.get(id)
      const number = Number(/ seq=(\d+) /.exec(line)![1])
      if (own === undefined) numbers.set(id, [number])
      else own.push(number)
    }
    if (lines.length < pageSize) return numbers
    start = BigInt(last!)
  }
}

/** How many pods of a namespace there are lines of. */
async function podsOf(url: string, namespace: string): Promise<number> {
  const query = new URLSearchParams({ query: `{namespace="${namespace}"}` })
  const answer = await fetch(`${url}/loki/api/v1/label/pod/values?${query}`, { signal: AbortSignal.timeout(20_000) })
  return answer.ok ? (((await answer.json()) as { data?: string[] }).data?.length ?? 0) : 0
}

/** How many lines of a namespace are stored. */
async function linesOf(url: string, namespace: string): Promise<number> {
  const query = new URLSearchParams({ query: `sum(count_over_time({namespace="${namespace}"}[1h]))` })
  const answer = await fetch(`${url}/loki/api/v1/query?${query}`, { signal: AbortSignal.timeout(20_000) })
  const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } }
  return Number(data.result[0]?.value[1] ?? 0)
}

/** How many lines `tributary generate` says that it wrote. */
const writtenOf = (output: string): number => Number(/(\d+) lines, /.exec(output)![1])

/** From 0 on, none missing and none doubled. */
function expectEachOnce(numbers: ReadonlyMap<string, readonly number[]>): number {
  let lines = 0
  for (const [id, own] of numbers) {
    const sorted = own.toSorted((a, b) => a - b)
    const wrong = sorted.findIndex((number, i) => number !== i)
    expect({ id, wrong, near: wrong === -1 ? [] : sorted.slice(Math.max(0, wrong - 2), wrong + 3) }).toEqual({
      id,
      wrong: -1,
      near: [],
    })
    lines += own.length
  }
  return lines
}

describe.skipIf(missing !== undefined)('docker compose', () => {
  beforeAll(buildImages, 600_000)

  test('what its services are given exists, and leads to one of them', async () => {
    await using compose = await Compose.create()
    const config = JSON.parse(await compose.run('docker compose --profile "*" config --format json')) as {
      services: Record<string, { volumes?: { type: string; source: string; target: string }[]; profiles?: string[] }>
    }
    for (const { volumes = [] } of Object.values(config.services))
      for (const { type, source } of volumes) if (type === 'bind') expect(existsSync(source), source).toBe(true)
    // The override that the page proposes for a real node.
    const [override] = blocksOf('docs/docker-compose.md', 'Logs of your own', 'yaml')
    const changed = await compose.run(
      `docker compose -f docker-compose.yml -f - config --format json <<'END'\n${override}\nEND`,
    )
    const { collector } = (JSON.parse(changed) as typeof config).services
    expect(collector?.volumes?.map(({ target }) => target)).toEqual([
      '/etc/tributary/config/collector.yaml',
      '/var/log',
      '/var/lib/tributary/collector',
    ])
    const profiles = Object.values(config.services).flatMap(({ profiles }) => profiles ?? [])
    const [profilesPage] = [readFileSync(`${repository}/docs/docker-compose.md`, 'utf8')]
    for (const profile of new Set(profiles)) expect(profilesPage).toContain(`| \`${profile}\` |`)
    const read = (file: string) => parse(readFileSync(`${repository}/compose/${file}`, 'utf8'))
    const sources = read('grafana/datasources.yaml') as { datasources: { url: string }[] }
    const scraped = read('prometheus.yaml') as { scrape_configs: { static_configs: { targets: string[] }[] }[] }
    const targets = scraped.scrape_configs.flatMap((one) => one.static_configs.flatMap(({ targets }) => targets))
    const reached = [...sources.datasources.map(({ url }) => new URL(url).host), ...targets].toSorted()
    expect(reached).toEqual(['aggregator:3100', 'aggregator:3100', 'collector:2020', 'prometheus:9090'])
    for (const host of reached) expect(Object.keys(config.services)).toContain(host.split(':')[0])
  })

  test('the README: each line is found once, whoever is killed, and survives down and up', async () => {
    await using compose = await Compose.create()
    const [up, query, audit, down] = readme() as [string, string, string, string]
    expect([up, down]).toEqual(['docker compose up', 'docker compose down'])
    compose.up(up)
    await compose.ready(compose.url)
    await expect.poll(() => podsOf(compose.url, 'demo'), { timeout: 60_000, interval: 1000 }).toBe(6)
    for (const service of ['collector', 'aggregator']) {
      await compose.run(`docker compose kill ${service}`)
      await sleep(1000)
      await compose.run(`docker compose start ${service}`)
    }
    await compose.ready(compose.url)
    await expect.poll(() => compose.run(query), { timeout: 60_000, interval: 1000 }).toContain('level=error')
    // What is there is compared when nobody writes, and all of it was seen: an audit knows of nothing else.
    const writeNoMore = async (earlier: number) => {
      await compose.run('docker compose stop demo')
      const written = earlier + writtenOf(await compose.run('docker compose logs --no-log-prefix demo'))
      await expect.poll(() => linesOf(compose.url, 'demo'), { timeout: 60_000, interval: 1000 }).toBe(written)
      await expect
        .poll(() => compose.run(`${audit} --wait 20s`), { timeout: 60_000 })
        .toMatch(/Nothing is missing and nothing is doubled\.$/)
      return written
    }
    const written = await writeNoMore(0)
    const before = await numbersOf(compose.url, 'demo')
    console.log(`docker compose up: ${written} lines of ${before.size} containers`)
    expect([expectEachOnce(before), before.size]).toEqual([written, 6])
    await compose.interrupt()
    const ended = await compose.run('docker compose ps --all --format "{{.Service}} {{.ExitCode}}"')
    expect(ended.split('\n').toSorted()).toEqual(['aggregator 0', 'collector 0', 'demo 0'])
    await compose.run(down)

    compose.up(up)
    await compose.ready(compose.url)
    const containers = async () => (await numbersOf(compose.url, 'demo')).size
    await expect.poll(containers, { timeout: 60_000, interval: 1000 }).toBe(12)
    const total = await writeNoMore(written)
    const after = await numbersOf(compose.url, 'demo')
    expect(expectEachOnce(after)).toBe(total)
    for (const [id, numbers] of before) expect(after.get(id)?.length, id).toBe(numbers.length)
    await compose.interrupt()
    await compose.run(down)
  }, 600_000)

  test('profiles storm and scale: three aggregators behind one name take a storm, and each line is there once', async () => {
    await using compose = await Compose.create()
    const blocks = blocksOf('docs/docker-compose.md', 'Profiles', 'sh')
    const command = blocks.find((block) => block.includes('stand-in.yaml'))!
    const base = command.replace(/ up$/, '')
    compose.up(command)
    await Promise.all([compose.ready(compose.url), compose.ready(compose.scaleUrl)])
    await compose.run(`${base} --profile storm up --detach --no-recreate storm`)
    await sleep(5000)
    await compose.run(`${base} --profile storm stop storm demo`)
    const written = writtenOf(await compose.run(`${base} --profile storm logs --no-log-prefix storm`))
    for (const url of [compose.url, compose.scaleUrl])
      await expect.poll(() => linesOf(url, 'storm'), { timeout: 120_000, interval: 1000 }).toBe(written)
    for (const service of ['aggregator', 'scale-aggregator-1']) {
      const audit = () => compose.run(`${base} exec ${service} tributary audit --brief --wait 30s`)
      await expect
        .poll(audit, { timeout: 120_000, interval: 1000 })
        .toMatch(/lost 0\nNothing is missing and nothing is doubled\.$/)
    }
    const received = (number: number) =>
      compose.run(
        `${base} exec scale-aggregator-${number} node -e 'fetch("http://localhost:3100/metrics").then((a) => a.text()).then((t) => console.log(/^aggregator_receive_records_total (.*)/m.exec(t)[1]))'`,
      )
    for (const number of [1, 2, 3]) expect(Number(await received(number))).toBeGreaterThan(0)
    const scaled = await numbersOf(compose.scaleUrl, 'storm')
    expect([expectEachOnce(scaled), scaled.size]).toEqual([written, 50])
    expect(expectEachOnce(await numbersOf(compose.url, 'storm'))).toBe(written)
    console.log(`a storm: ${written} lines of ${scaled.size} containers, by three aggregators and by one`)
  }, 600_000)
})
