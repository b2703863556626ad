/** What is asked of a path with a method that it does not have. */
import type { FastifyInstance } from 'fastify'
import { forAnyone } from '../access/access.ts'

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** Answers 405 and nothing else, as Loki does, for every path that is registered behind this. Call {@link OtherMethods.refuse} when all are. */
export class OtherMethods {
  readonly #app: FastifyInstance
  readonly #known = new Map<string, Set<string>>()

  constructor(app: FastifyInstance) {
    this.#app = app
    app.addHook('onRoute', ({ method, url }) => {
      const known = this.#known.get(url) ?? new Set()
      for (const one of [method].flat()) known.add(one)
      this.#known.set(url, known)
    })
  }

  refuse(): void {
    // Some routes are in contexts that are made later.
    this.#app.after(() => {
      for (const [url, known] of [...this.#known]) {
        const other = methods.filter((method) => !known.has(method))
        const allowed = [...known].sort().join(', ')
        this.#app.route({
          method: other,
          url,
          config: { access: forAnyone },
          handler: (_, reply) => reply.status(405).header('allow', allowed).send(),
        })
      }
    })
  }
}
