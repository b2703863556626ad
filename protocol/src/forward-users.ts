/** Users of the Forward handshake, as a configuration names them: a password each, said there or in a file. */
import { z } from 'zod'
import { Secret, secretFileKey, secretKey } from './secret.ts'
import type { WatchedFileEvents } from './watched-file.ts'

export interface ForwardUser {
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
}

/** A map by name. `more` are further keys of a user. */
export function forwardUsers<More extends z.ZodRawShape>(more: More) {
  const user = z
    .strictObject({ password: secretKey('Password.'), passwordFile: secretFileKey('the password'), ...more })
    .superRefine((value, context) => {
      const { password, passwordFile } = value as ForwardUser
      if ((password === undefined) === (passwordFile === undefined))
        context.addIssue({ code: 'custom', message: 'set password or passwordFile' })
    })
  return z.record(z.string().min(1), z.union([z.string().min(1), user]))
}

/**
 * @param key of the configuration, such as `forward.users`
 * @throws FileError where the file of a password can't be read
 */
export function userSecrets(
  key: string,
  users: Readonly<Record<string, string | ForwardUser>>,
  events?: WatchedFileEvents,
): ReadonlyMap<string, Secret> {
  return new Map(
    Object.entries(users).map(([name, user]) => {
      const { password, passwordFile } = typeof user === 'string' ? { password: user } : user
      return [name, Secret.from(`${key}.${name}.password`, password, passwordFile, events)!]
    }),
  )
}
