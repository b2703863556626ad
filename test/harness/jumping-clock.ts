/**
 * For `node --import jumping-clock.ts?FILE`: the wall clock of this process is off by as many milliseconds as the file says, now and whenever it
 * changes. The monotonic clock goes on, as when an administrator or NTP sets a machine's time.
 */
import { readFileSync, watchFile } from 'node:fs'

const file = decodeURIComponent(new URL(import.meta.url).search.slice(1))
let offset = 0

function read(): void {
  try {
    offset = Number(readFileSync(file, 'utf8')) || 0
  } catch {
    offset = 0
  }
}
read()
watchFile(file, { interval: 100 }, read).unref()

const RealDate = Date
class JumpingDate extends RealDate {
  constructor(...values: unknown[]) {
    if (values.length === 0) super(RealDate.now() + offset)
    else super(...(values as [number]))
  }

  static override now(): number {
    return RealDate.now() + offset
  }
}
globalThis.Date = JumpingDate as DateConstructor
