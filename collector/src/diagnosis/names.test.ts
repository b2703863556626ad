import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withNames } from './names.ts'
import type { LogSnapshot } from './snapshot.ts'

let root: string
let containers: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-names-'))
  containers = join(root, 'containers')
  mkdirSync(containers)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const id = 'a'.repeat(64)
const log = (path: string): LogSnapshot => ({ path, names: [], sources: [], gaps: [], errors: [] })

test('a log is known by the directory behind all links, and a docker log by its file', async () => {
  const pod = join(root, 'pods', 'shop_cart_uid', 'main')
  mkdirSync(pod, { recursive: true })
  writeFileSync(join(pod, '0.log'), '')
  symlinkSync(join(root, 'pods'), join(root, 'linked'))
  symlinkSync(join(root, 'linked', 'shop_cart_uid', 'main', '0.log'), join(containers, `cart_shop_main-${id}.log`))
  const docker = join(root, 'docker')
  mkdirSync(docker)
  writeFileSync(join(docker, 'x-json.log'), '')
  mkdirSync(join(root, 'pods', 'shop_web_uid', 'main'), { recursive: true })
  symlinkSync(join(docker, 'x-json.log'), join(root, 'pods', 'shop_web_uid', 'main', '0.log'))
  symlinkSync(join(root, 'pods', 'shop_web_uid', 'main', '0.log'), join(containers, `web_shop_main-${id}.log`))
  const { logs } = await withNames(containers, [log(pod), log(join(docker, 'x-json.log'))], { namespace: 'shop' })
  expect(logs.map(({ names }) => names.map(({ name }) => name.split('_')[0]))).toEqual([['cart'], ['web']])
})

test('names that lead to no log anybody reads are told with why', async () => {
  symlinkSync('/nowhere/shop_cart_uid/main/0.log', join(containers, `cart_shop_main-${id}.log`))
  symlinkSync(`loop_shop_main-${id}.log`, join(containers, `loop_shop_main-${id}.log`))
  mkdirSync(join(containers, 'directory.log'))
  writeFileSync(join(containers, 'notes.txt'), '')
  const { logs } = await withNames(containers, [], {})
  expect(logs.map(({ pod, names }) => `${pod}: ${names[0]!.problem}`).sort()).toEqual([
    'cart: the file it leads to does not exist (is its directory mounted?)',
    'loop: its links lead in a circle',
    'undefined: it is not a file',
  ])
  expect((await withNames(containers, [], { pod: 'cart' })).logs).toHaveLength(1)
})

test('a directory that is not there is said, and what is known is told all the same', async () => {
  const known = [log('/x')]
  const { logs, logsProblem } = await withNames(join(root, 'missing'), known, {})
  expect(logs).toEqual(known)
  expect(logsProblem).toContain('ENOENT')
})
