/**
 * When a process is to stop: at SIGTERM, SIGINT or SIGHUP, or when the process that started it with a channel to it is gone, by whatever
 * death. Resolves with what it was.
 */
export function stopRequest(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => resolve(signal))
    process.once('disconnect', () => resolve('the process that started this one is gone'))
    // Listening must not be what keeps the process running.
    process.channel?.unref()
  })
}
