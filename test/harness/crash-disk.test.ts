import { type Disk, replaceFile } from '@tributary/protocol/disk.ts'
import { expect, test } from 'vitest'
import { CrashDisk } from './crash-disk.ts'

async function put(disk: Disk, path: string, text: string, sync = true): Promise<void> {
  const file = await disk.open(path, 'update')
  await file.truncate(0)
  await file.write(Buffer.from(text), 0)
  if (sync) await file.sync()
  await file.close()
}

const textOf = (disk: CrashDisk, path: string) => disk.look(path)?.toString()
const seeds = Array.from({ length: 40 }, (_, seed) => seed)

test('what was synced with its directory survives, whatever else does', async () => {
  for (const survives of ['nothing', 'some', 'everything'] as const) {
    const disk = new CrashDisk()
    await disk.mkdir('/a/b')
    await disk.syncDirectory('/')
    await disk.syncDirectory('/a')
    await put(disk, '/a/b/file', 'content')
    await disk.syncDirectory('/a/b')
    expect(textOf(disk.restart({ survives }), '/a/b/file')).toBe('content')
  }
})

test('a file whose directory was not synced may be gone', async () => {
  const found = new Set<string | undefined>()
  for (const seed of seeds) {
    const disk = new CrashDisk()
    await put(disk, '/file', 'content')
    found.add(textOf(disk.restart({ seed }), '/file'))
  }
  expect([...found].sort()).toEqual(['content', undefined])
})

test('bytes that were not synced are kept, lost or torn', async () => {
  const found = new Set<number>()
  for (const seed of seeds) {
    const disk = new CrashDisk()
    const file = await disk.open('/file', 'create')
    await file.write(Buffer.alloc(512, 1), 0)
    await file.sync()
    await disk.syncDirectory('/')
    await file.write(Buffer.alloc(2000, 2), 512)
    const after = disk.restart({ seed }).look('/file') as Buffer
    expect(after.subarray(0, 512)).toEqual(Buffer.alloc(512, 1))
    found.add(after.length)
  }
  expect(found).toContain(512)
  expect(found).toContain(2512)
  expect(found.size).toBeGreaterThan(5)
})

test('sectors can survive in any order: zeros lie before what was kept', async () => {
  const holes = await Promise.all(
    seeds.map(async (seed) => {
      const disk = new CrashDisk()
      const file = await disk.open('/file', 'create')
      await disk.syncDirectory('/')
      await file.write(Buffer.alloc(1024, 1), 0)
      const after = disk.restart({ seed }).look('/file') as Buffer
      return after.length === 1024 && after[0] === 0
    }),
  )
  expect(holes).toContain(true)
})

test('an unsynced unlink or rename may be undone, and is never half done', async () => {
  const found = new Set<string>()
  for (const seed of seeds) {
    const disk = new CrashDisk()
    await put(disk, '/old', 'old')
    await put(disk, '/new', 'new')
    await disk.syncDirectory('/')
    await disk.rename('/new', '/old')
    const after = disk.restart({ seed })
    found.add([after.look('/'), textOf(after, '/old')].join())
  }
  expect([...found].sort()).toEqual(['new,old,old', 'old,new'])
})

test('from the power cut on nothing settles, and the change it came before has not happened', async () => {
  const disk = new CrashDisk({ crashBefore: 3 })
  let ended = false
  await disk.run(async () => {
    await put(disk, '/file', 'content').finally(() => {
      ended = true
    })
  })
  expect(disk.trace).toEqual(['create /file', 'truncate /file 0', 'write /file 0+7'])
  expect(ended).toBe(false)
  expect(disk.isCrashed).toBe(true)
  expect(textOf(disk, '/file')).toBe('')
})

test('a failing write may write a part, and a failing sync loses for good what is still seen', async () => {
  const lengths = new Set<number>()
  const kept = new Set<number>()
  for (const seed of seeds) {
    let fails = 'write'
    const disk = new CrashDisk({ seed, fault: ({ kind }) => (kind === fails ? 'EIO' : undefined) })
    const file = await disk.open('/file', 'create')
    await disk.syncDirectory('/')
    await expect(file.write(Buffer.alloc(10, 1), 0)).rejects.toMatchObject({ code: 'EIO' })
    lengths.add(await file.size())
    fails = 'sync'
    await file.write(Buffer.alloc(10, 1), 0)
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    fails = ''
    await file.sync()
    expect(await file.size()).toBe(10)
    kept.add((disk.restart({ survives: 'everything' }).look('/file') as Buffer).length)
  }
  expect(lengths.size).toBeGreaterThan(5)
  expect(kept.size).toBeGreaterThan(1)
})

test('the same seed decides the same', async () => {
  const once = async () => {
    const disk = new CrashDisk({ seed: 3 })
    await put(disk, '/file', 'x'.repeat(3000), false)
    return textOf(disk.restart({ seed: 5 }), '/file')
  }
  expect(await once()).toBe(await once())
})

test('replaceFile leaves the old content or the new one, whole, wherever the power is cut', async () => {
  const found = new Set<string | undefined>()
  for (let crashBefore = 1, crashed = true; crashed; crashBefore++) {
    for (const seed of seeds.slice(0, 12)) {
      const disk = new CrashDisk({ seed })
      await put(disk, '/file', 'old')
      await disk.syncDirectory('/')
      const cut = disk.restart({ survives: 'everything', crashBefore, seed })
      const replaced = await cut.run(async () => {
        await replaceFile(cut, '/file', Buffer.from('the new content'))
        return true
      })
      const text = textOf(cut.restart({ seed }), '/file')
      expect(['old', 'the new content'], cut.trace.join(', ')).toContain(text)
      if (replaced) expect(text).toBe('the new content')
      found.add(text)
      crashed = cut.isCrashed && !replaced
    }
  }
  expect(found.size).toBe(2)
})

test('what a killed process wrote is seen by the next, and is no more durable than it was', async () => {
  const disk = new CrashDisk()
  await put(disk, '/synced', 'content')
  await disk.syncDirectory('/')
  await put(disk, '/synced', 'changed', false)
  await put(disk, '/new', 'new')
  const next = disk.kill()
  expect([textOf(next, '/synced'), textOf(next, '/new')]).toEqual(['changed', 'new'])
  const after = next.restart({ survives: 'nothing' })
  expect([textOf(after, '/synced'), textOf(after, '/new')]).toEqual(['content', undefined])
})
