import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Discovered, Discovery } from './discovery.ts'

let root: string
let logs: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-discovery-'))
  logs = join(root, 'containers')
  mkdirSync(logs)
})
afterEach(() => rmSync(root, { recursive: true }))

const id = (digit: string) => digit.repeat(64)

function runContainer(restart: number, containerId: string): string {
  const directory = join(root, 'pods', 'shop_cart_uid-1', 'main')
  mkdirSync(directory, { recursive: true })
  const file = join(directory, `${restart}.log`)
  writeFileSync(file, 'a line\n')
  const link = join(logs, `cart_shop_main-${containerId}.log`)
  symlinkSync(file, link)
  return link
}

function discovery(): Discovery {
  return new Discovery({ path: logs, problem: (path, reason) => expect.unreachable(`${reason} ${path}`) })
}

test('a container that restarts has one log with an id for each run, also when the first name is gone', () => {
  const discover = discovery()
  const first = runContainer(0, id('a'))
  const [{ key, origin }] = [...discover.scan()!.values()] as [Discovered]
  unlinkSync(first)
  runContainer(1, id('b'))
  expect([...discover.scan()!.keys()]).toEqual([key])
  const { containerId } = origin
  expect([containerId(0), containerId(1), containerId(2)]).toEqual([id('a'), id('b'), undefined])
})

test('what is known of a log goes when it is forgotten', () => {
  const discover = discovery()
  const link = runContainer(0, id('a'))
  const [known] = discover.scan()!.values()
  unlinkSync(link)
  discover.forget(known!.key)
  expect(known!.origin.containerId(0)).toBeUndefined()
  runContainer(1, id('b'))
  const [again] = discover.scan()!.values()
  expect([again!.origin.containerId(0), again!.origin.containerId(1)]).toEqual([undefined, id('b')])
})

function linkTo(target: string, link: string): void {
  symlinkSync(target, `${link}.new`)
  renameSync(`${link}.new`, link)
}

function writeRelease(name: string): string {
  const directory = join(root, name)
  mkdirSync(directory)
  writeFileSync(join(directory, 'app.log'), `of ${name}\n`)
  return directory
}

test('a link that is made to lead to another file leads to another log', () => {
  const [first, second] = [writeRelease('first'), writeRelease('second')]
  linkTo(join(first, 'app.log'), join(logs, 'current.log'))
  const discover = discovery()
  expect([...discover.scan()!.keys()]).toEqual([join(first, 'app.log')])
  linkTo(join(second, 'app.log'), join(logs, 'current.log'))
  expect([...discover.scan()!.keys()]).toEqual([join(second, 'app.log')])
  rmSync(second, { recursive: true })
  writeFileSync(join(logs, 'other.log'), 'a line\n')
  expect([...discover.scan()!.keys()]).toEqual([join(second, 'app.log'), join(logs, 'other.log')])
})

test('a link on the way to a log that is made to lead elsewhere is noticed within seconds', () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'], now: Date.now() + 60_000 })
  try {
    const [first, second] = [writeRelease('first'), writeRelease('second')]
    linkTo(first, join(root, 'release'))
    symlinkSync(join(root, 'release', 'app.log'), join(logs, 'app.log'))
    const discover = discovery()
    expect([...discover.scan()!.keys()]).toEqual([join(first, 'app.log')])
    vi.advanceTimersByTime(10_000)
    expect(discover.scan()).toBeUndefined()
    linkTo(second, join(root, 'release'))
    expect(discover.scan()).toBeUndefined()
    vi.advanceTimersByTime(10_000)
    expect([...discover.scan()!.keys()]).toEqual([join(second, 'app.log')])
  } finally {
    vi.useRealTimers()
  }
})

test('a log directory that is a link and is made to lead to another one has the logs of that', () => {
  const [first, second] = [writeRelease('first'), writeRelease('second')]
  const path = join(root, 'release')
  linkTo(first, path)
  const discover = new Discovery({ path, problem: () => expect.unreachable() })
  expect([...discover.scan()!.keys()]).toEqual([join(first, 'app.log')])
  linkTo(second, path)
  expect([...discover.scan()!.keys()]).toEqual([join(second, 'app.log')])
})

// Other systems do not let such names be.
test.runIf(process.platform === 'linux')('a name that is not UTF-8 is told as that, and is no dangling link', () => {
  const odd = (directory: string, name: string) =>
    Buffer.concat([Buffer.from(`${directory}/${name}`), Buffer.from([0xff]), Buffer.from('.log')])
  writeFileSync(odd(logs, 'file'), 'a line\n')
  writeFileSync(odd(root, 'target'), 'a line\n')
  symlinkSync(odd(root, 'target'), join(logs, 'link.log'))
  symlinkSync(join(root, 'gone'), join(logs, '\uFFFD.log'))
  const told: string[] = []
  const discover = new Discovery({ path: logs, problem: (path, reason) => told.push(`${reason} ${path}`) })
  expect(discover.scan()!.size).toBe(0)
  expect(told.sort()).toEqual([
    `dangling_link ${join(logs, '\uFFFD.log')}`,
    `name_not_utf8 ${join(logs, 'file\uFFFD.log')}`,
    `name_not_utf8 ${join(logs, 'link.log')}`,
  ])
})
