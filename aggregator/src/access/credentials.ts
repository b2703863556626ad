/** Who a request is from: bearer tokens and basic auth against what the configuration knows, in a time that tells nothing. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { Secret } from '@tributary/protocol/secret.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import { AccessError } from './access-error.ts'
import type { CredentialConfig, Role } from './config.ts'

export interface Credential {
  /** For logs and messages; no secret. */
  readonly name: string
  readonly roles: ReadonlySet<Role>
  /** `*`: whichever the request names. */
  readonly tenants: readonly string[]
}

interface Known {
  readonly credential: Credential
  readonly username: string | undefined
  readonly secret: Secret
  /** Of what was presented last: a secret from a file may be another one now. */
  digest: Buffer
  digested: string | undefined
}

/** Longer than any credential; what is longer is not looked at. */
const maxHeaderLength = 8192

export class Credentials {
  readonly #known: readonly Known[]
  /** Digests are compared, so that neither the place of the first difference nor a length shows in the time. */
  readonly #key = randomBytes(32)

  /** @throws FileError where the file of a secret can't be read */
  constructor(configs: readonly CredentialConfig[], events?: WatchedFileEvents) {
    this.#known = configs.map((config, i) => {
      const key = `http.auth.credentials.${i}.${config.username === undefined ? 'token' : 'password'}`
      const { token, tokenFile, password, passwordFile, username, name, roles, tenants } = config
      const secret = Secret.from(key, token ?? password, tokenFile ?? passwordFile, events)
      if (secret === undefined) throw new TypeError(`${key} is not set`)
      const credential = { name, roles: new Set(roles), tenants }
      return { credential, username, secret, digest: Buffer.alloc(0), digested: undefined }
    })
  }

  /** Nobody needs a credential. */
  get open(): boolean {
    return this.#known.length === 0
  }

  /**
   * Whose the header Authorization is.
   *
   * @throws {@link AccessError}
   */
  identify(authorization: string | undefined): Credential {
    const presented = authorization === undefined ? undefined : parseAuthorization(authorization)
    if (presented === undefined)
      throw new AccessError('no_credential', 'a bearer token, or a user and a password, is needed')
    const digest = this.#digest(presented)
    let found: Credential | undefined
    // All of them, whichever fits.
    for (const known of this.#known) if (timingSafeEqual(digest, this.#digestOf(known))) found ??= known.credential
    if (found === undefined) throw new AccessError('wrong_credential', 'the credential is not known')
    return found
  }

  #digestOf(known: Known): Buffer {
    const secret = known.secret.current
    if (secret !== known.digested) {
      known.digested = secret
      known.digest = this.#digest(
        known.username === undefined ? { token: secret } : { username: known.username, secret },
      )
    }
    return known.digest
  }

  #digest(presented: Presented): Buffer {
    const text = 'token' in presented ? ['token', presented.token] : ['user', presented.username, presented.secret]
    return createHmac('sha256', this.#key).update(JSON.stringify(text)).digest()
  }
}

type Presented = { readonly token: string } | { readonly username: string; readonly secret: string }

/** `Bearer TOKEN` or `Basic base64(USER:PASSWORD)`; undefined for anything else. */
export function parseAuthorization(header: string): Presented | undefined {
  if (header.length > maxHeaderLength) return undefined
  const match = /^(bearer|basic) +([^\s,]+) *$/i.exec(header)
  if (match === null) return undefined
  if (match[1]!.toLowerCase() === 'bearer') return { token: match[2]! }
  const text = Buffer.from(match[2]!, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon === -1 ? undefined : { username: text.slice(0, colon), secret: text.slice(colon + 1) }
}
