/**
 * Tells the kernel which pages of Node's binary are not needed. Starting, compiling and the libraries' tables touch 40 to 50 MiB of it, which
 * stay resident until memory is short, though a collector that reads runs in a quarter of them.
 *
 * madvise(2), MADV_DONTNEED: of a file's pages that nobody wrote to, the process lets go at once; what it uses again is mapped again from the
 * page cache, 64 KiB at a time.
 */
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'

const lookMs = 30_000
/** What a collector runs in, and a little more. */
const enoughKiB = 20 * 1024
const madviseDontNeed = 4
/** How much farther from each other the parts of a binary may be in memory than in its file: linkers align them. */
const paddingBytes = 16n << 20n

/** Part of the process's memory, as addresses. */
export interface MemoryRange {
  readonly start: bigint
  readonly end: bigint
}

/**
 * Where the binary was loaded, without what was written to: that is gone for good when it is let go. `smaps` is the text of /proc/self/smaps (proc_pid_smaps(5)), `binary`
 * the path that it has there.
 *
 * Only what the loader put there, as far from the file's first byte as in the file: it stays until the process ends. V8 maps the code of its builtins once more elsewhere, for
 * as long as a thread lives: other memory can have its addresses by the time they are used.
 */
export function unwrittenCode(smaps: string, binary: string): MemoryRange[] {
  const ranges: MemoryRange[] = []
  let base: bigint | undefined
  for (const part of smaps.split(/^(?=[\da-f]+-[\da-f]+ )/m)) {
    const [, from, to, access, at, path] = /^([\da-f]+)-([\da-f]+) (\S+) ([\da-f]+) \S+ \d+ +(.*)$/m.exec(part) ?? []
    if (path !== binary) continue
    const start = BigInt(`0x${from}`)
    const offset = BigInt(`0x${at}`)
    if (offset === 0n) base ??= start
    const padding = base === undefined ? -1n : start - base - offset
    const loaded = padding >= 0n && padding < paddingBytes
    if (loaded && !access!.includes('w') && /^Anonymous: +0 kB$/m.test(part))
      ranges.push({ start, end: BigInt(`0x${to}`) })
  }
  return ranges
}

/** KiB of files that are resident in this process. */
export function residentFileKiB(): number {
  return Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0)
}

/** Made once: koffi keeps some 8 KiB of each. */
let madvise: ((address: bigint, length: bigint, advice: number) => unknown) | undefined

/** Lets go of the binary's pages, once. Throws where that can't be called. */
export async function releaseCode(): Promise<void> {
  const { load } = await import('koffi')
  // The C library's, which the process has loaded.
  madvise ??= load(null).func('int madvise(uintptr_t address, size_t length, int advice)')
  for (const { start, end } of unwrittenCode(readFileSync('/proc/self/smaps', 'latin1'), process.execPath))
    madvise(start, end - start, madviseDontNeed)
}

/** Lets go of them whenever more are resident than a collector runs in, until `signal` is aborted. Where it can't, they stay. */
export function keepCodeSmall(log: Logger, signal: AbortSignal): void {
  if (process.platform !== 'linux') return
  const timer = setInterval(async () => {
    try {
      const before = residentFileKiB()
      if (before <= enoughKiB) return
      await releaseCode()
      log.debug({ before, after: residentFileKiB() }, "let go of pages of Node's binary, KiB")
    } catch (error) {
      clearInterval(timer)
      log.debug({ reason: (error as Error).message }, "pages of Node's binary stay resident")
    }
  }, lookMs)
  signal.addEventListener('abort', () => clearInterval(timer))
}
