/**
 * The engine alone, for aggregators with `store.engine: clickhouse`: a stand-in for a ClickHouse server where there is none, such as tests and
 * trying out several aggregators on one machine. One process on one disk: nothing is replicated.
 *
 *     node aggregator/src/store/engine/standalone.ts --directory DIR [--listen 127.0.0.1] [--port 8123] [--username default]
 *       [--password-file FILE] [--database default] [--memory 700MiB] [--cluster NAME]
 *
 * With `--cluster` it calls itself the only node of a cluster of that name (one-node-cluster.ts).
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Secret } from '@tributary/protocol/secret.ts'
import { size } from '@tributary/protocol/units.ts'
import { createLog } from '../../log.ts'
import { openEmbedded } from '../embedded.ts'

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    listen: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8123' },
    username: { type: 'string', default: 'default' },
    'password-file': { type: 'string' },
    database: { type: 'string', default: 'default' },
    cluster: { type: 'string' },
    memory: { type: 'string', default: '700MiB' },
  },
})
const { directory, listen, port, username, 'password-file': passwordFile, database, memory, cluster } = values
if (directory === undefined) throw new TypeError('--directory is required: where the engine keeps its data')
const log = createLog('info')
const password = Secret.from('--password', undefined, passwordFile)?.current ?? ''
if (password === '' && !['127.0.0.1', '::1', 'localhost'].includes(listen)) {
  throw new TypeError('--password-file is required where others can connect')
}
if (cluster !== undefined && !/^[a-z]\w*$/i.test(cluster))
  throw new TypeError('--cluster must be letters, digits and _')
const server = { listen, port: Number(port), username, password, database, cluster }
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
await using store = await openEmbedded({ directory, memoryBytes: size.parse(memory), log, server, signal: stop.signal })
log.info(
  { url: store.connection.urls[0] },
  'the engine serves; it is one process on one disk, no replacement for a ClickHouse server',
)
if (!stop.signal.aborted) await once(stop.signal, 'abort')
