// Knows what every version is: its digest, how it is reached, and whether it may take traffic. Loads nothing into traffic.
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { Version } from '../config/schema.ts'
import { spanNameOf } from '../config/traced.ts'
import { messageOf } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import { type ManifestText, readModelFolder } from '../models/source.ts'
import { signatureToClient } from '../protocols/rename.ts'
import type { TensorShape } from '../protocols/tensor.ts'
import type { OnnxTarget, TracedTarget, UpstreamTarget } from '../rollout/snapshot.ts'
import { signatureMismatch } from '../scoring/golden.ts'
import type { LoadedModel, VerifyModel } from '../scoring/message.ts'
import { type Identities, identityKey } from './identity.ts'

export interface KnownVersion {
  readonly digest: string | undefined
  readonly target: OnnxTarget | UpstreamTarget | TracedTarget | undefined
  readonly manifest: Manifest | undefined
  readonly broken: string | undefined
  /** For a person: the embedded model's folder, the addresses, or that it is served elsewhere. */
  readonly described: string
  readonly identityVerified: boolean
}

export interface ModelRegistryOptions {
  readonly verify: (model: VerifyModel) => Promise<LoadedModel>
  readonly identities: Pick<Identities, 'of'>
  readonly warn: (message: string) => void
}

/** Verified models by folder, and HTTP versions by what they declare. */
export class ModelRegistry {
  readonly #options: ModelRegistryOptions
  readonly #embedded = new Map<string, { readonly known: KnownVersion; readonly read: ManifestText }>()
  readonly #known = new Map<string, KnownVersion>()
  /** Folders that are looked at now: routes are asked for side by side, and two may name one. */
  readonly #looking = new Map<string, Promise<KnownVersion>>()

  constructor(options: ModelRegistryOptions) {
    this.#options = options
  }

  /** The version as it was last looked at. */
  known(route: string, version: string): KnownVersion | undefined {
    return this.#known.get(`${route}/${version}`)
  }

  /** Looks at every version anew: reads, hashes and, where the bytes are new, loads and verifies. Never throws. */
  async inspect(
    modelsFolder: string,
    route: string,
    versions: Readonly<Record<string, Version>>,
  ): Promise<Record<string, string | undefined>> {
    const digests: Record<string, string | undefined> = {}
    const entries = Object.entries(versions)
    // Servers that are down are waited for side by side.
    const upstream = new Map(
      entries
        .filter(([, { onnx, traced }]) => onnx === undefined && traced === undefined)
        .map(([name, version]) => [name, this.#inspectUpstream(route, name, version)] as const),
    )
    for (const [name, version] of entries) {
      const { onnx, traced } = version
      const known =
        traced !== undefined
          ? tracedVersion(version, spanNameOf(name, traced))
          : onnx === undefined
            ? await upstream.get(name)!
            : withNames(await this.#inspectEmbedded(modelsFolder, onnx), version)
      this.#known.set(`${route}/${name}`, known)
      digests[name] = known.digest
    }
    return digests
  }

  /** Forgets every version that is not among these, by route. What a rollback may go back to belongs to them. */
  keep(versions: ReadonlyMap<string, ReadonlySet<string>>): void {
    const keys = new Set([...versions].flatMap(([route, names]) => [...names].map(name => `${route}/${name}`)))
    for (const key of this.#known.keys()) if (!keys.has(key)) this.#known.delete(key)
    const used = new Set(this.#known.values())
    for (const [folder, { known }] of this.#embedded) if (!used.has(known)) this.#embedded.delete(folder)
  }

  #inspectEmbedded(modelsFolder: string, folder: string): Promise<KnownVersion> {
    const at = resolve(modelsFolder, folder)
    const looking =
      this.#looking.get(at) ?? this.#look(modelsFolder, folder, at).finally(() => this.#looking.delete(at))
    this.#looking.set(at, looking)
    return looking
  }

  async #look(modelsFolder: string, folder: string, at: string): Promise<KnownVersion> {
    const { known: before, read } = this.#embedded.get(at) ?? {}
    try {
      const { text, manifest, file, sha256 } = await readModelFolder(modelsFolder, folder, read)
      if (before?.digest === sha256 && JSON.stringify(before.manifest) === JSON.stringify(manifest)) return before
      const loaded = await this.#options.verify({ file, sha256, golden: manifest.golden })
      const mismatch =
        signatureMismatch('inputs', loaded.inputs, manifest.signature.inputs) ??
        signatureMismatch('outputs', loaded.outputs, manifest.signature.outputs)
      if (mismatch !== undefined) throw new Error(`${folder}: ${mismatch}`)
      const target: OnnxTarget = {
        kind: 'onnx',
        file,
        sha256,
        inputs: loaded.inputs,
        outputs: loaded.outputs,
        features: manifest.profile?.features.map(({ name }) => name) ?? [],
        p99Ms: loaded.p99Ms,
      }
      const known = { digest: sha256, target, manifest, broken: undefined, described: folder, identityVerified: true }
      this.#embedded.set(at, { known, read: { text, manifest } })
      return known
    } catch (error) {
      const message = messageOf(error)
      if (before !== undefined) {
        // The sessions that serve have the old bytes in memory: a damaged file is no reason to stop them.
        this.#options.warn(`${folder}: ${message}; the model that is loaded serves on`)
        return before
      }
      return {
        digest: undefined,
        target: undefined,
        manifest: undefined,
        broken: message,
        described: folder,
        identityVerified: false,
      }
    }
  }

  async #inspectUpstream(route: string, name: string, version: Version): Promise<KnownVersion> {
    const urls = typeof version.url === 'string' ? [version.url] : (version.url ?? [])
    const target: UpstreamTarget = {
      kind: 'url',
      urls,
      protocol: version.protocol,
      model: version.model ?? route,
      hasPath: urls.some(url => URL.parse(url)?.pathname !== '/'),
      connectMs: version.connect,
      firstByteMs: version.firstByte ?? version.deadline,
    }
    const described = urls.join(', ')
    const identity = await this.#options.identities.of(identityKey(route, name), version, target)
    if (identity === undefined) {
      return {
        digest: undefined,
        target,
        manifest: undefined,
        broken: 'its identity cannot be read',
        described,
        identityVerified: false,
      }
    }
    const declared = JSON.stringify([urls, version.protocol, target.model, identity])
    return {
      digest: createHash('sha256').update(declared).digest('hex'),
      target,
      manifest: undefined,
      broken: undefined,
      described,
      identityVerified: version.identity !== undefined,
    }
  }
}

/** Nobody can look at it: it is what the file says, as its spans must say too. */
function tracedVersion({ identity }: Version, named: string): KnownVersion {
  const literal = identity !== undefined && 'literal' in identity ? identity.literal : undefined
  // With an identity the name is left out: the same build under another name is the same build.
  const declared = JSON.stringify(literal === undefined ? ['traced', named] : ['traced', null, literal])
  return {
    digest: createHash('sha256').update(declared).digest('hex'),
    target: { kind: 'traced', named, identity: literal },
    manifest: undefined,
    broken: undefined,
    described: `served elsewhere, known by its spans`,
    identityVerified: literal !== undefined,
  }
}

/** The version, broken where its entry names tensors that the embedded model has not. */
function withNames(known: KnownVersion, { rename, answers }: Version): KnownVersion {
  const { target } = known
  if (target?.kind !== 'onnx' || known.broken !== undefined) return known
  const { inputs, outputs } = signatureToClient(target, rename)
  const has = (tensors: readonly TensorShape[], name: string) => tensors.some(tensor => tensor.name === name)
  const lost =
    Object.values(rename?.inputs ?? {}).find(name => !has(target.inputs, name)) ??
    Object.values(rename?.outputs ?? {}).find(name => !has(target.outputs, name)) ??
    answers?.find(name => !has(outputs, name))
  if (lost === undefined) return known
  const names = (tensors: readonly TensorShape[]) => tensors.map(({ name }) => name).join(', ')
  const broken = `the model has no tensor "${lost}"; it takes ${names(inputs)} and gives ${names(outputs)}`
  return { ...known, broken }
}
