/** `format_query`: the query laid out, or what is wrong with it, as JSON either way. */
import { LogqlError } from '../logql/error.ts'
import { parseQuery } from '../logql/parser.ts'
import { pretty } from '../logql/pretty.ts'

export function formatQuery(query: string): { readonly status: number; readonly body: string } {
  try {
    return { status: 200, body: JSON.stringify({ status: 'success', data: pretty(parseQuery(query)) }) }
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error
    return { status: 400, body: JSON.stringify({ status: 'invalid-query', error: error.message }) }
  }
}
