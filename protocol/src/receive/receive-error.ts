/** What can be wrong with what a peer sends, in a closed list: label values of `aggregator_receive_errors_total` and `collector_input_errors_total`. */
export type ReceiveProblem =
  /** Bytes that are not MessagePack. */
  | 'not_msgpack'
  /** A message, or all that is pending of one, beyond the receiver's `maxMessageBytes`. */
  | 'too_large'
  /** MessagePack, but no Forward message. */
  | 'not_forward'
  /** A message of our collector whose header contradicts itself, or of a version we don't read. */
  | 'bad_chunk'
  /** Entries that are not what the message says: wrong compression, or no sequence of `[time, record]`. */
  | 'bad_entries'
  /** An entry that nests too deep: it is left out, the rest of its message goes on. Counted by entries. */
  | 'too_deep'
  /** Entries that say they decompress to more than the receiver takes. */
  | 'zip_bomb'
  /** Metrics or traces, which Fluent Bit sends the same way. Acknowledged, so that it does not send them for ever, and dropped. */
  | 'unsupported_signal'
  /** No shared key, a wrong one, or an unknown user. */
  | 'handshake'
  | 'tls'
  /** A message, or a handshake, that did not end in time. */
  | 'timeout'
  /** Nothing came since the connection began. It stays open: told once. */
  | 'silent'
  /** The connection ended within a message. */
  | 'cut_off'
  | 'too_many_connections'
  /** Too much was pending over all connections, and the one with the most did not go on; or a sender does not read its acknowledgements. */
  | 'buffer_full'
  /** A chunk of a collector process after which another one began to read the same source. */
  | 'fenced'
  /** More streams than the tenant may have: what begins another one is not taken yet. */
  | 'limited'
  /** A fault of the receiver. */
  | 'internal'

/** A message that is refused. */
export class ReceiveError extends Error {
  override readonly name = 'ReceiveError'
  readonly problem: ReceiveProblem
  /**
   * Nothing that follows on this connection can be trusted: it is to be closed. `once answered`: its sender waits for what does not come, and sends
   * again only on another connection; what came before is answered first.
   */
  readonly fatal: boolean | 'once answered'
  constructor(problem: ReceiveProblem, message: string, fatal: boolean | 'once answered', options?: ErrorOptions) {
    super(message, options)
    this.problem = problem
    this.fatal = fatal
  }
}
