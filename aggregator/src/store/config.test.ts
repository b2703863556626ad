import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clickhouseConfig, clickhouseConnection } from './config.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-store-config-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const parse = (config: object) => clickhouseConfig.parse(config)

test('one address or a list of them, with everything else at its default', () => {
  const connection = clickhouseConnection(parse({ url: 'https://a:8443' }))
  expect(connection).toEqual({
    engine: 'clickhouse',
    urls: ['https://a:8443'],
    username: 'default',
    password: '',
    database: 'tributary',
    cluster: undefined,
    storagePolicy: undefined,
    insertTimeout: 120_000,
    insertQuorum: 0,
  })
  expect(clickhouseConnection(parse({ url: ['http://a:8123', 'http://b:8123'] })).urls).toEqual([
    'http://a:8123',
    'http://b:8123',
  ])
})

test('password and certificates come from files', async () => {
  const write = async (name: string, text: string) => {
    await writeFile(join(directory, name), text)
    return join(directory, name)
  }
  const config = parse({
    url: 'https://a:8443',
    passwordFile: await write('password', 'geheim\n'),
    tls: { caFile: await write('ca', 'CA'), certFile: await write('cert', 'CERT'), keyFile: await write('key', 'KEY') },
  })
  expect(clickhouseConnection(config)).toMatchObject({
    password: 'geheim',
    tls: { ca: 'CA', cert: 'CERT', key: 'KEY' },
  })
  const missing = join(directory, 'missing')
  expect(() => clickhouseConnection(parse({ url: 'https://a', tls: { caFile: missing } }))).toThrow(
    `store.clickhouse.tls.caFile: ${missing} cannot be read (ENOENT)`,
  )
})

test.for([
  [{ url: 'nonsense' }, 'such as https://clickhouse:8443'],
  [{ url: 'ftp://a' }, 'such as https://clickhouse:8443'],
  [{ url: 'clickhouse:8443' }, 'such as https://clickhouse:8443'],
  [{ url: 'http://user:geheim@a' }, 'keys of their own'],
  [{ url: 'http://a/?password=geheim' }, 'keys of their own'],
  [{ url: 'http://a/tributary' }, 'keys of their own'],
  [{ url: ['http://a', 'http://a'] }, 'twice'],
  [{ url: [] }, 'Too small'],
  [{ url: ['https://a', 'http://b'], tls: { caFile: 'ca.pem' } }, 'must begin with https:'],
  [{ tls: { certFile: 'a.pem' } }, 'certFile and keyFile go together'],
  [{ password: 'a', passwordFile: 'b' }, 'not both'],
  [{ database: 'a`; DROP DATABASE b; --' }, 'letters, digits'],
  [{ cluster: "c', 'x" }, 'letters, digits'],
  [{ storagePolicy: "tiered'" }, 'letters, digits'],
  [{ storagePolicy: 'tiered', moveTo: "cold', x" }, 'letters, digits'],
  [{ moveAfter: '3d' }, 'needs storagePolicy'],
  [{ insertTimeout: '10ms' }, 'at least 1s'],
  [{ insertQuorum: -1 }, 'Too small'],
] as const)('%j is refused: %s', ([config, message]) => {
  const { success, error } = clickhouseConfig.safeParse(config)
  expect(success).toBe(false)
  expect(JSON.stringify(error!.issues)).toContain(message)
})
