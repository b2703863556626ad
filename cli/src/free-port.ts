import { createServer } from 'node:net'

/** Whether `port` can be listened on at `host`; a port that is free now if `port` is 0. */
export async function tryPort(host: string, port: number): Promise<number | undefined> {
  const server = createServer()
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => resolve(true))
  })
  if (!listening) return undefined
  const found = (server.address() as { port: number }).port
  await new Promise((resolve) => server.close(resolve))
  return found
}
