/** All of the configured filters that can fail is done here, once: regular expressions are compiled, parsers made, modules loaded. */
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { builtInParser } from '../parse/built-in.ts'
import { builtInParsers } from '../parse/names.ts'
import type { Parser } from '../parse/parser.ts'
import { RegexParser } from '../parse/regex.ts'
import { regexesOf } from './condition.ts'
import type { FilterConfig, ParsersConfig } from './config.ts'
import { parseExpression } from './expression.ts'
import type { FilterModule } from './module.ts'
import { loadModule } from './module-loader.ts'
import { type CompileRegex, regexCompiler } from './regex.ts'

/** Filters as the configuration has them, in order. */
export interface FiltersConfig {
  readonly filters: readonly FilterConfig[]
  readonly parsers: ParsersConfig
}

export interface Prepared {
  readonly filters: readonly FilterConfig[]
  readonly parsers: ReadonlyMap<string, Parser>
  readonly compileRegex: CompileRegex
  /** By their place in `filters`. */
  readonly modules: ReadonlyMap<number, FilterModule>
}

/** A regular expression and where the configuration has it. */
interface Place {
  readonly path: string
  readonly pattern: string
}

/** Throws {@link ConfigError} with every pattern that is none, or with a module that can't be loaded. */
export async function prepare(config: FiltersConfig, file: string): Promise<Prepared> {
  const places = placesOf(config)
  const compileRegex = places.length > 0 ? await regexCompiler() : withoutRegex
  const problems = places.flatMap(({ path, pattern }) => problemOf(path, pattern, compileRegex))
  if (problems.length > 0) throw new ConfigError(file, problems)
  const parsers = new Map<string, Parser>()
  for (const name of builtInParsers) parsers.set(name, builtInParser(name))
  for (const [name, { regex }] of Object.entries(config.parsers))
    parsers.set(name, new RegexParser(name, compileRegex(regex)))
  const modules = new Map<number, FilterModule>()
  for (const [i, { module }] of config.filters.entries())
    if (module !== undefined) modules.set(i, await loadModule(file, `filters.${i}.module`, module))
  return { filters: config.filters, parsers, compileRegex, modules }
}

const withoutRegex: CompileRegex = (pattern) => {
  throw new Error(`no regular expression was expected: ${pattern}`)
}

function problemOf(path: string, pattern: string, compileRegex: CompileRegex): string[] {
  try {
    compileRegex(pattern)
    return []
  } catch (error) {
    return [`${path}: ${(error as Error).message}; write a regular expression of RE2, as in Go`]
  }
}

function placesOf({ filters, parsers }: FiltersConfig): Place[] {
  const ofFilters = filters.flatMap((entry, i) => {
    const conditions = (['drop', 'keep', 'sample', 'rateLimit'] as const).flatMap((kind) => {
      const where = entry[kind]?.where
      if (where === undefined) return []
      return regexesOf(parseExpression(where)).map(({ pattern, at }) => ({
        path: `filters.${i}.${kind}.where: character ${at + 1}`,
        pattern,
      }))
    })
    const custom = Object.entries(entry.redact?.custom ?? {}).map(([name, pattern]) => ({
      path: `filters.${i}.redact.custom.${name}`,
      pattern,
    }))
    return [...conditions, ...custom]
  })
  const ofParsers = Object.entries(parsers).map(([name, { regex }]) => ({
    path: `parsers.${name}.regex`,
    pattern: regex,
  }))
  return [...ofFilters, ...ofParsers]
}
