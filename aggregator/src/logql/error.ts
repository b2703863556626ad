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

/** The query is right, but this part of the language is not evaluated yet. */
export class NotEvaluatedError extends Error {
  readonly construct: string
  readonly position: Position

  constructor(construct: string, position: Position) {
    super(`\`${construct}\` is not evaluated yet (line ${position.line}, col ${position.column})`)
    this.name = 'NotEvaluatedError'
    this.construct = construct
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
