const usual: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/**
 * When a process is to stop: at one of the signals, or when the process that started it with a channel to it is gone, by whatever
 * death. Resolves with what it was.
 */
export function stopRequest(signals = usual): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve(signal))
    process.once('disconnect', () => resolve('the process that started this one is gone'))
    // Listening must not be what keeps the process running.
    process.channel?.unref()
  })
}
