/** What the aggregator and the engine process tell each other over the channel that fork opens between them. */

export interface EngineOptions {
  /** The engine's own directory; nothing else may use it. */
  readonly directory: string
  /** Most memory the engine takes for its work, in bytes. */
  readonly memoryBytes: number
  /** Address to bind to: loopback for an aggregator of its own. */
  readonly listen: string
  /** 0 picks a free port; a restarted engine gets the port of the one before. */
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
  /** Of a stand-in that calls itself the one node of a cluster. */
  readonly cluster?: string | undefined
  /** Further elements of the engine's configuration file, XML. */
  readonly extraConfig?: string | undefined
}

export type ToEngine = { readonly kind: 'open'; readonly options: EngineOptions } | { readonly kind: 'close' }

export type FromEngine =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'failed'; readonly reason: 'locked' | 'full' | 'broken'; readonly message: string }
  | {
      readonly kind: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly message: string
      readonly fields: Readonly<Record<string, unknown>>
    }

/** Tells the aggregator what happened, which writes it to the one log there is. */
export type Tell = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void
