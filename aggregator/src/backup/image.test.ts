import { execFileSync } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { archiveOf } from './archive.ts'
import { imageDirectory, takeImage } from './image.ts'

let root: string
let data: string
const table = 'store/data/store/abc/abcdef'

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tributary-image-'))
  data = join(root, 'data')
  const files = {
    ledger: 'ledger 1',
    cursor: 'cursor 1',
    'ledger-id': 'aaaaaaaaaaaaaaaa\n',
    'wal/0000000000000001.wal': 'old segment',
    'wal/0000000000000002.wal': 'committed and not',
    'wal/0000000000000003.wal': 'began later',
    [`${table}/20261128_1_1_0/data.bin`]: 'rows',
    [`${table}/20261128_1_1_0/empty.bin`]: '',
    [`${table}/tmp_merge_20261128_1_2_1/data.bin`]: 'unfinished',
    [`${table}/detached/broken/data.bin`]: 'set aside',
    'store/reserve': 'room',
    'store/data/status': 'PID: 1',
    'store/data/tmp/x': 'x',
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(data, name, '..'), { recursive: true })
    await writeFile(join(data, name), text)
  }
  await symlink('../store/abc/abcdef', join(data, 'store/data/metadata'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const committed = () => ({ segment: 2, offset: 'committed'.length })

async function unpack(image: Awaited<ReturnType<typeof takeImage>>): Promise<string> {
  const [archive, restored] = [join(root, 'a.tar'), join(root, 'restored')]
  await pipeline(archiveOf(image).archive, createWriteStream(archive))
  await mkdir(restored)
  execFileSync('tar', ['-xf', archive, '-C', restored])
  return restored
}

test('what happens to the directory after the image was taken is not in it', async () => {
  const image = await takeImage(data, committed)
  await appendFile(join(data, 'wal/0000000000000002.wal'), ' appended')
  await writeFile(join(data, 'ledger.tmp'), 'ledger 2')
  await rename(join(data, 'ledger.tmp'), join(data, 'ledger'))
  await rm(join(data, 'wal/0000000000000001.wal'))
  await rm(join(data, table, '20261128_1_1_0'), { recursive: true })
  const restored = await unpack(image)
  const text = (name: string) => readFile(join(restored, name), 'utf8')
  expect(await text('ledger')).toBe('ledger 1')
  expect(await text('cursor')).toBe('cursor 1')
  expect(await text('wal/0000000000000001.wal')).toBe('old segment')
  expect(await text('wal/0000000000000002.wal')).toBe('committed')
  expect(await text(`${table}/20261128_1_1_0/data.bin`)).toBe('rows')
  expect(await text(`${table}/20261128_1_1_0/empty.bin`)).toBe('')
  expect(await readlink(join(restored, 'store/data/metadata'))).toBe('../store/abc/abcdef')
})

test('unfinished parts, what was set aside, and later segments are left out; the ledger gets another name and knows its old ones', async () => {
  await writeFile(join(data, 'ledger-before'), 'bbbbbbbbbbbbbbbb\n')
  const restored = await unpack(await takeImage(data, committed))
  expect((await readdir(restored)).sort()).toEqual(['cursor', 'ledger', 'ledger-before', 'store', 'wal'])
  expect(await readFile(join(restored, 'ledger-before'), 'utf8')).toBe('bbbbbbbbbbbbbbbb\naaaaaaaaaaaaaaaa\n')
  expect(await readdir(join(restored, 'wal'))).toHaveLength(2)
  expect(await readdir(join(restored, table))).toEqual(['20261128_1_1_0'])
  expect(await readdir(join(restored, 'store'))).not.toContain('reserve')
  expect((await readdir(join(restored, 'store/data'))).sort()).toEqual(['metadata', 'store'])
})

test('the links are gone when the archive was read, and when nobody reads on', async () => {
  await unpack(await takeImage(data, committed))
  await expect.poll(() => readdir(data)).not.toContain(imageDirectory)
  const { archive, removed } = archiveOf(await takeImage(data, committed))
  expect(await readdir(data)).toContain(imageDirectory)
  archive.destroy()
  await removed
  expect(await readdir(data)).not.toContain(imageDirectory)
  await writeFile(join(data, table, '20261128_1_1_0/data.bin'), Buffer.alloc(4 << 20))
  const half = archiveOf(await takeImage(data, committed))
  for await (const _ of half.archive) break
  await half.removed
  expect(await readdir(data)).not.toContain(imageDirectory)
})
