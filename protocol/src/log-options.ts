/** How every process logs: with pino, one line of JSON each, its time as ISO 8601 and its name in it. */

/** What no process may log, wherever it stands in what is logged: the last line of defence, as nothing logs a configuration or a header. */
const names = ['authorization', 'sharedKey', 'password', 'token', 'secret', 'key']
const places = ['', '*.', '*.*.', 'headers.', 'err.', 'err.headers.', 'err.options.headers.']

const hidden = {
  paths: places.flatMap((place) =>
    names.filter((name) => name !== 'key' || place.startsWith('err')).map((name) => `${place}${name}`),
  ),
  censor: '[secret]',
}

/** Pino's options for a process. */
export const logOptions = (name: string, level: string) => ({
  level,
  // Neither pid nor host: what runs where is told by the pod.
  base: { name },
  timestamp: () => `,"time":"${new Date().toISOString()}"`,
  redact: hidden,
})
