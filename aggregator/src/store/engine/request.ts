/** What a request of ClickHouse's HTTP interface asks for: statement, settings, bound parameters, formats. */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type EngineException, exception, exceptionCodes } from './exception.ts'
import type { EngineOptions } from './messages.ts'
import { isSpooledRows, spooledParameter } from './spool.ts'
import { isAllowedSetting } from './statement.ts'

export interface EngineRequest {
  /** From the URL; the body may continue it, or hold the rows of an insert. */
  readonly query: string
  readonly queryId: string
  readonly database: string
  readonly settings: ReadonlyMap<string, string>
  readonly parameters: ReadonlyMap<string, string>
  readonly defaultFormat: string | undefined
  /** The file in the spool that has the rows of an insert; undefined: they are the body. */
  readonly spooled: string | undefined
  /** The whole result is made before the first byte is sent, so that the summary is complete and an error has its status. */
  readonly wait: boolean
  readonly gzip: boolean
}

/** Throws an {@link EngineException} for a setting that is not on the list. */
export function parseRequest(message: IncomingMessage, defaultDatabase: string): EngineRequest {
  const url = new URL(message.url ?? '/', 'http://engine')
  const settings = new Map<string, string>()
  const parameters = new Map<string, string>()
  const own = new Map<string, string>()
  for (const [name, value] of url.searchParams) {
    if (isParameter(name)) parameters.set(parameterName(name), value)
    else if (ownNames.has(name)) own.set(name, value)
    else if (isAllowedSetting(name)) settings.set(name, value)
    else throw unknownSetting(name)
  }
  const wantsGzip = /\bgzip\b/.test(String(message.headers['accept-encoding'] ?? ''))
  return {
    query: own.get('query') ?? '',
    queryId: own.get('query_id') ?? '',
    database: own.get('database') ?? header(message, 'x-clickhouse-database') ?? defaultDatabase,
    settings,
    parameters,
    spooled: spooledOf(own.get(spooledParameter)),
    defaultFormat: own.get('default_format') ?? header(message, 'x-clickhouse-format'),
    wait: own.get('wait_end_of_query') === '1',
    gzip: wantsGzip && own.get('enable_http_compression') === '1',
  }
}

/** Whether a field of a request is a bound parameter: `param_<name>`. */
export function isParameter(field: string): boolean {
  return /^param_[A-Za-z_]\w*$/.test(field)
}

export function parameterName(field: string): string {
  return field.slice('param_'.length)
}

/** Names of the interface itself, which are not settings of the engine. */
const ownNames = new Set([
  'query',
  'query_id',
  'database',
  'default_format',
  'wait_end_of_query',
  'enable_http_compression',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'user',
  'password',
  spooledParameter,
])

/** Nothing but a name of ours leads to a file. */
function spooledOf(name: string | undefined): string | undefined {
  if (name === undefined || isSpooledRows(name)) return name
  throw exception(exceptionCodes.unknownSetting, 'UNKNOWN_SETTING', 'That is no name of a file in the spool.')
}

function unknownSetting(name: string): EngineException {
  return exception(exceptionCodes.unknownSetting, 'UNKNOWN_SETTING', `Setting ${name} is not one a request may give.`)
}

function header(message: IncomingMessage, name: string): string | undefined {
  const value = message.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Whether the request carries the one user and password there is: in headers, as basic authorization, or in the URL. */
export function isAuthorized(message: IncomingMessage, { username, password }: EngineOptions): boolean {
  const basic = /^Basic (.+)$/.exec(message.headers.authorization ?? '')?.[1]
  if (basic !== undefined) return isSame(Buffer.from(basic, 'base64').toString(), `${username}:${password}`)
  const key = header(message, 'x-clickhouse-key')
  if (key !== undefined) return header(message, 'x-clickhouse-user') === username && isSame(key, password)
  const url = new URL(message.url ?? '/', 'http://engine')
  return url.searchParams.get('user') === username && isSame(url.searchParams.get('password') ?? '', password)
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
