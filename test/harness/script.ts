/** Scripts of ours that `npm run` starts. */
import { Command, InvalidArgumentError } from 'commander'

/** `--help` shows its options; wrong ones end it with exit code 2. */
export function script(name: string, description: string): Command {
  return new Command(`npm run ${name} --`)
    .description(description)
    .showHelpAfterError('(--help shows the options)')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
}

/** Of an option: more than 0, as seconds, lines and minutes are. */
export function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('a number above 0 is needed.')
  return value
}

/** Of an option: what random numbers begin with. */
export function seed(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError('a whole number is needed.')
  return value
}
