const usual: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/**
 * How long the same signal means the same request, ms: who stops all processes of a service tells this one and the one that started it,
 * which passes it on.
 */
export const sameRequest = 1000

/**
 * When a process is to stop: at one of the signals, or when the process that started it with a channel to it is gone, by whatever
 * death. Resolves with what it was.
 */
export function stopRequest(signals = usual): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      const asked = () => {
        resolve(signal)
        // From then on the signal does what it does: whoever sends it once more does not want to wait.
        setTimeout(() => process.off(signal, asked), sameRequest).unref()
      }
      process.on(signal, asked)
    }
    process.once('disconnect', () => resolve('the process that started this one is gone'))
    // Listening must not be what keeps the process running.
    process.channel?.unref()
  })
}
