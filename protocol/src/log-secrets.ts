/** What no process may log, wherever it stands in what is logged: the last line of defence, as nothing logs a configuration or a header. */

const names = ['authorization', 'sharedKey', 'password', 'token', 'secret', 'key']
const places = ['', '*.', '*.*.', 'headers.', 'err.', 'err.headers.', 'err.options.headers.']

/** Of pino's option `redact`. */
export const hiddenInLogs = {
  paths: places.flatMap((place) =>
    names.filter((name) => name !== 'key' || place.startsWith('err')).map((name) => `${place}${name}`),
  ),
  censor: '[secret]',
}
