/** The commands by which README and install page have the chart installed, as far as that goes without a cluster. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { commandsOf } from '../images/commands.ts'
import { run } from './render.ts'
import { chartTools } from './tools.ts'

const tools = chartTools()
process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

test.skipIf(tools === undefined).each([
  ['README.md', 'In a cluster', 'REGISTRY/tributary/collector:0.1.0', 'REGISTRY/tributary/aggregator:0.1.0'],
  ['docs/install.md', 'Install', 'REGISTRY/tributary/collector:0.1.0', 'REGISTRY/tributary/aggregator:0.1.0'],
])('%s, %s: helm takes the command', async (file, heading, ...images) => {
  const command = commandsOf(file, heading).find((one) => one.startsWith('helm install'))!
  const { ok, stdout, stderr } = await run(tools!.helm, [...command.split(' ').slice(1), '--dry-run=client'])
  expect(ok, stderr).toBe(true)
  const [, manifests] = stdout.split(/^MANIFEST:$/m)
  const objects = parseAllDocuments(manifests!.split(/^NOTES:$/m)[0]!).map(
    (one) => one.toJS() as { kind?: string } | null,
  )
  const rendered = objects
    .filter((object) => object?.kind === 'DaemonSet' || object?.kind === 'StatefulSet')
    .map(
      (object) =>
        (object as unknown as { spec: { template: { spec: { containers: [{ image: string }] } } } }).spec.template.spec
          .containers[0].image,
    )
  expect(rendered.toSorted()).toEqual(images.toSorted())
})

test('the README makes the images as the install page does, whose commands are run', () => {
  const made = commandsOf('README.md', 'In a cluster').filter((command) => command.startsWith('docker build'))
  expect(made).toHaveLength(2)
  expect(commandsOf('docs/install.md', 'Images')).toEqual(expect.arrayContaining(made))
})
