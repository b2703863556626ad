/**
 * Makes JSON Schemas, as kubeconform reads them, from what Kubernetes publishes of itself: its OpenAPI document, and the definitions of
 * custom resources. One file for each kind, which knows every key: an unknown one is an error.
 *
 *     node schemas.ts kubernetes SWAGGER.json DIRECTORY
 *     node schemas.ts custom MODULE… DIRECTORY
 *
 * Those definitions as they are, for an API server:
 *
 *     node schemas.ts definitions MODULE… DIRECTORY
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseAllDocuments } from 'yaml'

type Schema = { [key: string]: unknown }

/** Where modules keep the definitions of the kinds that the chart may render. */
const definitions = [
  'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  'example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml',
  'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  'deploy/crds/cert-manager.io_certificates.yaml',
  'deploy/crds/cert-manager.io_issuers.yaml',
  'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml',
]

/** Name of a kind's file: kubeconform's template is `{{.ResourceKind}}{{.KindSuffix}}.json`. */
export function fileName(kind: string, group: string, version: string): string {
  const first = group.split('.')[0]
  return `${[kind, ...(first ? [first] : []), version].join('-').toLowerCase()}.json`
}

interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** File name and schema of each kind in Kubernetes' OpenAPI document. */
export function kubernetesSchemas(swagger: { definitions: Record<string, Schema> }): [name: string, schema: Schema][] {
  return Object.entries(swagger.definitions).flatMap(([name, definition]) => {
    const kinds = (definition['x-kubernetes-group-version-kind'] ?? []) as GroupVersionKind[]
    // Options of requests are no objects, and have every group.
    if (kinds.length !== 1 || definition['properties'] === undefined) return []
    const { group, version, kind } = kinds[0]!
    const used = new Map<string, Schema>()
    collect(name, swagger.definitions, used)
    const root = pinned(used.get(name)!, group === '' ? version : `${group}/${version}`, kind)
    return [[fileName(kind, group, version), { ...root, definitions: Object.fromEntries(used) }]]
  })
}

/** A definition and all that it refers to, made strict. */
function collect(name: string, all: Record<string, Schema>, used: Map<string, Schema>): void {
  if (used.has(name)) return
  used.set(name, {})
  used.set(
    name,
    strict(all[name]!, (reference) => collect(reference.replace('#/definitions/', ''), all, used)) as Schema,
  )
}

/** File name and schema of each served version of a CustomResourceDefinition. */
export function customSchemas(definition: Schema): [name: string, schema: Schema][] {
  const { group, names, versions } = definition['spec'] as {
    group: string
    names: { kind: string }
    versions: { name: string; served: boolean; schema: { openAPIV3Schema: Schema } }[]
  }
  return versions
    .filter(({ served }) => served)
    .map(({ name, schema }) => {
      const made = strict(schema.openAPIV3Schema, () => {}) as Schema
      // Its own definition leaves these to Kubernetes.
      const properties = { ...(made['properties'] as Schema), metadata: { type: 'object' } }
      return [fileName(names.kind, group, name), pinned({ ...made, properties }, `${group}/${name}`, names.kind)]
    })
}

function pinned(schema: Schema, apiVersion: string, kind: string): Schema {
  const properties = schema['properties'] as Schema
  return { ...schema, properties: { ...properties, apiVersion: { const: apiVersion }, kind: { const: kind } } }
}

/** The same schema as plain JSON Schema, in which an object with known keys has no others. */
function strict(value: unknown, refers: (reference: string) => void): unknown {
  if (Array.isArray(value)) return value.map((item) => strict(item, refers))
  if (typeof value !== 'object' || value === null) return value
  const schema = value as Schema
  if (schema['format'] === 'int-or-string' || schema['x-kubernetes-int-or-string'] === true)
    return { anyOf: [{ type: 'integer' }, { type: 'string' }] }
  const result: Schema = {}
  for (const [key, child] of Object.entries(schema)) {
    if (key === '$ref' && typeof child === 'string') refers(child)
    if (key === 'properties') {
      // Names of keys, not words of the schema: one of them may be called `format`.
      const entries = Object.entries(child as Schema)
      result['properties'] = Object.fromEntries(entries.map(([name, one]) => [name, strict(one, refers)]))
    } else if (key !== 'description' && key !== 'default' && !key.startsWith('x-kubernetes-')) {
      result[key] = strict(child, refers)
    }
  }
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true || schema['additionalProperties'] !== undefined
  if (schema['properties'] !== undefined && !open) result['additionalProperties'] = false
  return result
}

function write(directory: string, schemas: readonly [name: string, schema: Schema][]): void {
  // Whoever finds the directory finds all of it.
  const made = `${directory}.new`
  rmSync(made, { recursive: true, force: true })
  mkdirSync(made, { recursive: true })
  for (const [name, schema] of schemas) writeFileSync(join(made, name), JSON.stringify(schema))
  rmSync(directory, { recursive: true, force: true })
  renameSync(made, directory)
  console.log(`${directory}: ${schemas.length} kinds`)
}

/** The files of the definitions, in these modules. */
function definitionFiles(modules: readonly string[]): string[] {
  const files = modules
    .flatMap((module) => definitions.map((name) => join(module, name)))
    .filter((file) => existsSync(file))
  if (files.length !== definitions.length) throw new Error(`found only ${files.join(', ')}`)
  return files
}

if (import.meta.main) {
  const [from, ...paths] = process.argv.slice(2)
  const directory = paths.pop()!
  if (from === 'kubernetes') write(directory, kubernetesSchemas(JSON.parse(readFileSync(paths[0]!, 'utf8'))))
  else if (from === 'custom') {
    const found = definitionFiles(paths).flatMap((file) =>
      parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Schema | null),
    )
    write(directory, found.filter((document) => document !== null).flatMap(customSchemas))
  } else {
    // Files of modules may not be written to: copies may.
    const made = `${directory}.new`
    rmSync(made, { recursive: true, force: true })
    mkdirSync(made, { recursive: true })
    for (const file of definitionFiles(paths)) writeFileSync(join(made, basename(file)), readFileSync(file))
    renameSync(made, directory)
  }
}
