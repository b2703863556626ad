/** Options that are passed on as they were written, checked where they are read: what can't be meant is wrong usage, whatever else would fail. */
import { parseDuration } from '@tributary/protocol/units.ts'
import { InvalidArgumentError } from 'commander'
import { parseTime } from './time.ts'

/** `15m`. */
export function durationText(text: string): string {
  if (parseDuration(text) === undefined)
    throw new InvalidArgumentError('numbers and units are needed, such as 5s or 1h30m.')
  return text
}

/** What {@link parseTime} reads. */
export function timeText(text: string): string {
  try {
    parseTime(text, Date.now())
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`)
  }
  return text
}

/** `http://host:port`, perhaps with a path. */
export function addressText(text: string): string {
  // `localhost:3100` is a URL too, with a scheme of that name.
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError('a URL is needed, such as http://localhost:3100.')
  return text
}
