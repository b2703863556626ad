/** An image as a tar archive (POSIX), which whoever restores it unpacks into an empty data directory. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Header, pack } from 'tar-stream'
import type { Image, ImageEntry } from './image.ts'

type Named = Pick<Header, 'name'> & Partial<Header>

/**
 * The archive's bytes. The image is removed when all were read, or the stream is destroyed; `removed` resolves then. What goes wrong destroys it: an archive that was
 * not read to its end is none.
 */
export function archiveOf(image: Image): { readonly archive: Readable; readonly removed: Promise<void> } {
  const archive = pack()
  const written = writeAll(image.entries, archive)
    .then(() => archive.finalize())
    .catch((error: Error) => archive.destroy(error))
  const removed = new Promise<void>((resolve) => {
    // What can't be removed now, the next start removes.
    const remove = () => image.remove().then(resolve, resolve)
    archive.once('close', () => void written.then(remove))
  })
  return { archive: archive as unknown as Readable, removed }
}

async function writeAll(entries: readonly ImageEntry[], archive: ReturnType<typeof pack>): Promise<void> {
  const common = { mtime: new Date(), uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  for (const entry of entries) {
    if (archive.destroyed) return
    const { name, size } = entry
    if (entry.kind === 'directory') await put(archive, { ...common, name: `${name}/`, type: 'directory', mode: 0o700 })
    else if (entry.kind === 'symlink')
      await put(archive, { ...common, name, type: 'symlink', linkname: entry.target, mode: 0o777 })
    else {
      const header: Named = { ...common, name, size, type: 'file', mode: 0o600 }
      if (size === 0) await put(archive, header)
      else await pipeline(createReadStream(entry.path, { end: size - 1 }), archive.entry(header))
    }
  }
}

/** A name without bytes. */
function put(archive: ReturnType<typeof pack>, header: Named): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry({ ...header, size: 0 }, '', (error) => (error ? reject(error) : resolve()))
  })
}
