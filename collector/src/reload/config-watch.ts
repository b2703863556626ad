/**
 * Tells when a file's content is another. A ConfigMap's mount swaps a link to a directory for another, which no notification about
 * the file itself tells: the content is the truth, and a small file is read in no time.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ConfigWatchOptions {
  readonly file: string
  /** Time between two looks, ms. */
  readonly interval?: number
  /** A content that stays for this long, ms, is not half of what somebody is writing. */
  readonly settle?: number
}

/**
 * Calls `changed` for each new content, and when the file can't be read any more, until the signal. Returns what calls it at once,
 * whatever the content: what was seen then is not new any more.
 */
export function watchConfig(
  { file, interval = 5000, settle = 500 }: ConfigWatchOptions,
  changed: () => Promise<unknown>,
  signal: AbortSignal,
): () => Promise<unknown> {
  const pause = (ms: number) => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined)
  let known = contentOf(file)
  const take = () => {
    known = contentOf(file)
    return changed()
  }
  const watch = async () => {
    for (;;) {
      await pause(interval)
      if (signal.aborted) return
      const found = contentOf(file)
      if (found === known) continue
      await pause(settle)
      if (signal.aborted || found === known || contentOf(file) !== found) continue
      await take()
    }
  }
  void watch()
  return take
}

/** What the file holds; the error's code, which no configuration is, when it can't be read. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return `\0${(error as NodeJS.ErrnoException).code}`
  }
}
