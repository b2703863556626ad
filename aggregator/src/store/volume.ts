/**
 * The rollup of volume: how many rows and bytes of lines each stream has per minute and level. The engine keeps it within the parts of `logs`
 * as a projection, so a row and its count are there together or not at all: under whatever token they were inserted, however often, and
 * when they are deleted. A query uses it when all it asks for is made of these expressions, letter by letter (logql/rollup.ts).
 */

export const volumeName = 'volume'
/** Nanoseconds. */
export const volumeMinute = 60_000_000_000n

const time = 'toUnixTimestamp64Nano(ts)'

/** Minutes since 1970. */
export const minuteOf = `intDiv(${time}, ${volumeMinute})`
/** A row at the very nanosecond of a full minute: windows of LogQL have it at their end, those of volumes at their beginning. */
const onMinute = `${time} % ${volumeMinute} = 0`
/** Nanoseconds since 1970 that stand for a row's time: its own on a full minute, else the first nanosecond behind that. */
export const timeInMinute = `(${minuteOf} * ${volumeMinute} + 1 - (${onMinute}))`
/** Structured metadata that clients show as the level where a stream has no label of that name. */
export const toldLevelField = "meta['level']"

const keys = ['tenant', minuteOf, onMinute, 'sid', 'level', toldLevelField].join(', ')

/** What ALTER TABLE is followed by; each can be repeated. */
export const addVolume = [
  // Deleting rows takes the rollup off the parts that they lie in: counting them anew costs more than marking them.
  "MODIFY SETTING lightweight_mutation_projection_mode = 'drop'",
  `ADD PROJECTION IF NOT EXISTS ${volumeName} (SELECT ${keys}, count(), sum(length(line)) GROUP BY ${keys})`,
] as const

/** Counts what was there before, in the background. Parts that have the rollup are left as they are. */
export const countVolume = `MATERIALIZE PROJECTION ${volumeName}`

/** Without it the engine reads a part of a column where the rollup has the whole, and does not recognise it. */
export const volumeSettings = 'SETTINGS optimize_functions_to_subcolumns = 0'
