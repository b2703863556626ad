/** The images by themselves: what is in them, how they are started, and that both processes work with a read-only root. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeEnvironment, nodeFlags } from '@tributary/collector/node-flags.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nativePackages } from '../../aggregator/bundle.ts'
import { until } from '../harness/processes.ts'
import { answers, buildImages, docker, dockerMissing, images, inspect, uniqueName } from './docker.ts'

const missing = dockerMissing()

interface Image {
  readonly Size: number
  readonly Config: {
    readonly User: string
    readonly Env: readonly string[]
    readonly Entrypoint: readonly string[]
    readonly Labels: Readonly<Record<string, string>>
    readonly ExposedPorts: Readonly<Record<string, unknown>>
    readonly Healthcheck?: unknown
  }
}

const mega = 1e6
const names = ['collector', 'aggregator', 'withoutEngine'] as const
const { version } = JSON.parse(readFileSync(new URL('../../collector/package.json', import.meta.url), 'utf8'))

describe.skipIf(missing !== undefined)('images', () => {
  beforeAll(buildImages, 600_000)

  test('they run as nobody, are labelled and have no health check of their own', async () => {
    for (const name of names) {
      const { User, Labels, Healthcheck } = (await inspect<Image>(images[name])).Config
      expect({ name, User, Healthcheck }).toEqual({ name, User: '10001:10001', Healthcheck: undefined })
      const kind = name === 'collector' ? name : 'aggregator'
      expect(Labels).toMatchObject({
        'org.opencontainers.image.title': `tributary/${kind}`,
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
        'org.opencontainers.image.base.name': images.base,
      })
    }
  })

  test('a collector is started with the flags that make it fit', async () => {
    const { Entrypoint, Env, ExposedPorts } = (await inspect<Image>(images.collector)).Config
    expect(Entrypoint).toEqual(['node', ...nodeFlags, '/opt/tributary/main.mjs'])
    expect(Env).toEqual(expect.arrayContaining(Object.entries(nodeEnvironment).map((pair) => pair.join('='))))
    expect(Object.keys(ExposedPorts).toSorted()).toEqual(['2020/tcp', '24224/tcp', '24224/udp'])
  })

  test('they hold what they need, and are as small as that', async () => {
    const size = async (name: string) => (await inspect<Image>(name)).Size / mega
    const [base, collector, aggregator, withoutEngine] = await Promise.all(
      [images.base, ...names.map((name) => images[name])].map(size),
    )
    const figures = { base, collector, aggregator, withoutEngine }
    console.log(`MB: ${Object.entries(figures).map(([name, mb]) => `${name} ${mb!.toFixed(1)}`)}`)
    expect(collector).toBeLessThan(250)
    expect(collector! - base!).toBeLessThan(5)
    expect(withoutEngine! - base!).toBeLessThan(15)

    const listed = async (image: string, directory: string) =>
      (await docker('run', '--rm', '--entrypoint', 'ls', image, directory)).split('\n')
    // Nothing of what builds and tests are made with, and of the rest only what can't be bundled.
    const packages = async (image: string) => (await listed(image, '/opt/tributary/node_modules')).toSorted()
    expect(await packages(images.collector)).toEqual(['@koromix', 'koffi'])
    expect(await packages(images.aggregator)).toEqual(
      ['@chdb', '@clickhouse', '@koromix', '@napi-rs', 'koffi', ...nativePackages].toSorted(),
    )
    const engine = '/opt/tributary/node_modules/@chdb'
    const bytes = (await docker('run', '--rm', '--entrypoint', 'du', images.aggregator, '-sb', engine)).split('\t')[0]
    expect(aggregator! - withoutEngine! - Number(bytes) / mega).toBeLessThan(1)
  })

  describe('with a read-only root, no capabilities, and as nobody', () => {
    const network = uniqueName('smoke')
    const containers: string[] = []
    const volumes = { data: `${network}-data`, state: `${network}-state` }
    const files = mkdtempSync(join(tmpdir(), 'tributary-smoke-'))

    async function run(name: 'collector' | 'aggregator', volume: string, args: readonly string[], port: number) {
      const container = `${network}-${name}`
      containers.push(container)
      await docker(
        ...['run', '--detach', '--name', container, '--network', network, '--network-alias', name],
        ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--tmpfs', '/tmp'],
        ...['--volume', `${volume}:/var/lib/tributary/${name}`, '--volume', `${files}:/files:ro`],
        ...['--publish', `127.0.0.1::${port}`, images[name], ...args],
      )
      const url = `http://${await docker('port', container, String(port))}`
      const begun = performance.now()
      const ready = async (path: string) => {
        const said = () => `the ${name} is not ready; see docker logs ${container}`
        await until(() => answers(url + path), 60_000, said)
        console.log(`the ${name} is ready after ${Math.round(performance.now() - begun)} ms`)
      }
      return { container, url, ready }
    }

    beforeAll(async () => {
      chmodSync(files, 0o755)
      writeFileSync(join(files, 'app.log'), 'from a container\n')
      const config = { logs: { path: '/files' }, aggregator: { address: 'aggregator:24224' } }
      writeFileSync(join(files, 'collector.yaml'), JSON.stringify(config))
      await docker('network', 'create', network)
    })
    afterAll(async () => {
      for (const container of containers) await docker('rm', '--force', container)
      await docker('volume', 'rm', ...Object.values(volumes))
      await docker('network', 'rm', network)
      rmSync(files, { recursive: true })
    }, 60_000)

    test('both start, send, store and answer, and end with 0 when they are told to', async () => {
      // Without a configuration all of the aggregator's keys have their defaults.
      const aggregator = await run('aggregator', volumes.data, [], 3100)
      await aggregator.ready('/ready')
      const collector = await run('collector', volumes.state, ['--config', '/files/collector.yaml'], 2020)
      await collector.ready('/readyz')
      const tributary = (...args: string[]) => docker('exec', aggregator.container, 'tributary', ...args)
      const query = () => tributary('query', '{cluster="default"}', '--output', 'raw')
      await expect.poll(query, { timeout: 30_000, interval: 500 }).toBe('from a container')
      expect(await tributary('audit')).toContain('Nothing is missing')
      for (const { container } of [collector, aggregator]) {
        await docker('stop', '--time', '30', container)
        const { State } = await inspect<{ State: { ExitCode: number; OOMKilled: boolean } }>(container)
        expect({ container, ...State }).toMatchObject({ container, ExitCode: 0, OOMKilled: false })
        await docker('start', container)
      }
      // What was written is there after a start on the same volumes.
      const again = `http://${await docker('port', aggregator.container, '3100')}/ready`
      const said = () => 'the aggregator does not start again'
      await until(() => answers(again), 60_000, said)
      expect(await query()).toBe('from a container')
    }, 180_000)
  })
})
