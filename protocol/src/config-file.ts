/** Reads one YAML configuration file against a zod schema. */
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { ConfigError, checkValue, readText } from './config-value.ts'

/** Throws {@link ConfigError}. */
export function loadConfig<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  environment: NodeJS.ProcessEnv = process.env,
): z.output<Schema> {
  return parseConfig(file, readText(file), schema, environment)
}

/** As {@link loadConfig}, from text. `file` is only the name used in messages. */
export function parseConfig<Schema extends z.ZodType>(
  file: string,
  text: string,
  schema: Schema,
  environment: NodeJS.ProcessEnv = {},
): z.output<Schema> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  if (document.errors.length > 0) {
    throw new ConfigError(
      file,
      document.errors.map((error) => error.message.split('\n')[0]!),
    )
  }
  return checkValue(file, document.toJS() ?? {}, schema, environment)
}
