/** What can be wrong with a query. Every message is meant for the person who wrote it and is answered with status 400. */

/** Where in the query's text: both count from 1, columns in characters. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** The query cannot be parsed or breaks a rule of the language. Worded as Loki words it, as clients match on the text. */
export class LogqlError extends Error {
  /** Absent where a rule about the whole expression is broken rather than the syntax at one place. */
  readonly position: Position | undefined

  constructor(message: string, position?: Position) {
    super(
      position
        ? `parse error at line ${position.line}, col ${position.column}: ${message}`
        : `parse error : ${message}`,
    )
    this.name = 'LogqlError'
    this.position = position
  }
}

/** The query was evaluated as far as a limit, or to data that it does not allow. */
export class QueryError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'QueryError'
  }
}

/** A sample has an error and the query does not say what to do with it. */
export class PipelineError extends QueryError {
  constructor(labels: ReadonlyMap<string, string>) {
    const type = labels.get('__error__') ?? ''
    const series = `{${[...labels].map(([name, value]) => `${name}=${JSON.stringify(value.toWellFormed())}`).join(', ')}}`
    super(
      [
        `pipeline error: '${type}' for series: '${series}'.`,
        `Use a label filter to intentionally skip this error. (e.g | __error__!="${type}").`,
        'To skip all potential errors you can match empty errors.(e.g __error__="")',
        'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n',
      ].join('\n'),
    )
    this.name = 'PipelineError'
  }
}
