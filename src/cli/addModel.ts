// Makes a model folder from somebody's ONNX file: bytes, signature, golden vectors, manifest. All of it or nothing.
import { chmod, mkdir, mkdtemp, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { messageOf } from '../errors.ts'
import { sha256Of } from '../models/digest.ts'
import type { Manifest, TensorSpec } from '../models/manifest.ts'
import { readModelFolder } from '../models/source.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { ScoringProcess } from '../scoring/pool.ts'
import type { Scorer } from '../scoring/scorer.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { goldenTensor } from './goldenTensor.ts'
import { manifestText } from './manifestText.ts'
import { readSamples } from './samples.ts'
import { syntheticInputs } from './syntheticInputs.ts'

export interface AddModel {
  readonly file: string
  /** Folder of the models. */
  readonly root: string
  readonly name: string
  readonly version: string
  /** JSON lines of inputs; undefined: inputs are made up. */
  readonly samples: string | undefined
  readonly dryRun: boolean
  readonly progress: (text: string) => void
}

export interface AddedModel {
  readonly name: string
  readonly version: string
  /** As the `onnx` key of a version names it. */
  readonly onnx: string
  readonly folder: string
  readonly sha256: string
  readonly signature: Manifest['signature']
  readonly vectors: number
  readonly synthetic: boolean
  readonly dryRun: boolean
  /** What to add to routes.yaml. */
  readonly routes: string
}

type Vector = Manifest['golden']['vectors'][number]

/** More would make every load of the version slower and show nothing new. */
const MAX_VECTORS = 20
const SYNTHETIC_VECTORS = 8
const SEED = 20_130_101
const TOLERANCE = { absolute: 1e-5, relative: 1e-4 } as const
const SCORE_DEADLINE_MS = 30_000

/** @throws CommandFailure (2: the file, its name or the samples are wrong; 4: the version is there already), MODEL_BROKEN */
export async function addModel(request: AddModel): Promise<AddedModel> {
  const { file, root, name, version, dryRun, progress } = request
  const folder = resolve(root, name, version)
  if (await stat(folder).catch(() => undefined))
    throw new CommandFailure(
      EXIT.conflict,
      `${name} ${version} is there already; a version never changes, so give the new bytes a new one`,
    )
  const bytes = await modelBytes(file)
  const sha256 = sha256Of(bytes)

  if (!dryRun) await mkdir(resolve(root, name), { recursive: true })
  const staging = await mkdtemp(dryRun ? join(tmpdir(), 'understudy-') : resolve(root, name, '.adding-'))
  const scoring = new ScoringProcess()
  try {
    await writeFile(join(staging, 'model.onnx'), bytes)
    progress(`loading ${basename(file)}\n`)
    const { inputs, outputs } = await scoring.load({ file: join(staging, 'model.onnx'), sha256 })
    const signature = { inputs: [...inputs], outputs: [...outputs] }
    const { vectors, synthetic } = await goldenVectors(scoring.scorer(sha256), signature.inputs, request)
    const manifest: Manifest = {
      name,
      version,
      description: synthetic
        ? `Added from ${basename(file)}. Its golden vectors are computed from made-up inputs (seed ${SEED}), not from real ones.`
        : `Added from ${basename(file)}.`,
      file: 'model.onnx',
      sha256,
      signature,
      provenance: NOT_GIVEN,
      golden: { tolerance: TOLERANCE, vectors },
    }
    await writeFile(join(staging, 'model.yaml'), manifestText(manifest))
    // Read back as a gateway will read it, and scored again: a model that answers by chance must not become a version.
    const written = await readModelFolder(resolve(staging, '..'), basename(staging))
    await scoring.load({ file: written.file, sha256, golden: written.manifest.golden })
    if (!dryRun) await publish(staging, folder, `${name} ${version}`)
    const onnx = `${name}/${version}`
    const routes = `routes:\n  ${name}:\n    live: ${version}\n    versions:\n      ${version}: { onnx: ${onnx}, weight: 100 }\n`
    return {
      name,
      version,
      onnx,
      folder: join(root, name, version),
      sha256,
      signature,
      vectors: vectors.length,
      synthetic,
      dryRun,
      routes,
    }
  } finally {
    await scoring.stop()
    await rm(staging, { recursive: true, force: true })
    // The name's folder stays only where it holds a version.
    if (!dryRun) await rmdir(resolve(root, name)).catch(() => {})
  }
}

const NOT_GIVEN: Manifest['provenance'] = {
  dataset: { name: 'not given', version: 'not given', origin: 'not given', sha256: 'not given', split: 'not given' },
  code: { revision: 'not given', command: 'not given', seed: 'not given' },
  frameworks: {},
}

async function modelBytes(file: string): Promise<Buffer> {
  const bytes = await readFile(file).catch(error => {
    const code = (error as NodeJS.ErrnoException).code ?? messageOf(error)
    throw new CommandFailure(EXIT.usage, `${file} cannot be read (${code})`)
  })
  if (bytes.length === 0) throw new CommandFailure(EXIT.usage, `${basename(file)} is empty`)
  return bytes
}

async function publish(staging: string, folder: string, what: string): Promise<void> {
  // mkdtemp makes it for this user alone; a gateway may run as another.
  await chmod(staging, 0o755)
  await rename(staging, folder).catch(error => {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTEMPTY' || code === 'EEXIST')
      throw new CommandFailure(EXIT.conflict, `${what} was added by somebody else meanwhile`)
    throw error
  })
}

async function goldenVectors(
  scorer: Scorer,
  inputs: readonly TensorSpec[],
  { samples, progress }: AddModel,
): Promise<{ vectors: Vector[]; synthetic: boolean }> {
  if (samples === undefined) {
    progress('no --samples: golden vectors are computed from made-up inputs, which say little about real ones\n')
    return { vectors: await fromSynthetic(scorer, inputs), synthetic: true }
  }
  const rows = await readSamples(samples, inputs, MAX_VECTORS)
  const vectors: Vector[] = []
  let left = 0
  for (const { line, inputs: tensors } of rows) {
    const vector = await vectorOf(scorer, { line, inputs: tensors })
    if (vector === undefined) left++
    else vectors.push(vector)
  }
  if (left > 0)
    progress(
      `${left} ${left === 1 ? 'sample gives' : 'samples give'} a NaN or infinity and cannot be a golden vector\n`,
    )
  if (vectors.length === 0)
    throw new CommandFailure(
      EXIT.usage,
      'the model gives a NaN or infinity for every sample, so there is no golden vector',
    )
  return { vectors, synthetic: false }
}

async function fromSynthetic(scorer: Scorer, inputs: readonly TensorSpec[]): Promise<Vector[]> {
  const vectors: Vector[] = []
  let why = 'its answers hold a NaN or infinity'
  for (let index = 0; index < SYNTHETIC_VECTORS * 4 && vectors.length < SYNTHETIC_VECTORS; index++) {
    try {
      const vector = await vectorOf(scorer, { line: undefined, inputs: syntheticInputs(inputs, SEED + index) })
      if (vector !== undefined) vectors.push(vector)
    } catch (error) {
      why = messageOf(error)
    }
  }
  if (vectors.length === 0)
    throw new CommandFailure(
      EXIT.usage,
      `made-up inputs do not suit this model (${why}); give it real ones with --samples`,
    )
  return vectors
}

/** Undefined: an answer has a value that a manifest cannot hold. @throws CommandFailure with the sample's line */
async function vectorOf(
  scorer: Scorer,
  { line, inputs }: { line: number | undefined; inputs: readonly Tensor[] },
): Promise<Vector | undefined> {
  const outcome = await scorer.score(inputs, SCORE_DEADLINE_MS)
  if (!outcome.ok)
    throw new CommandFailure(
      EXIT.usage,
      line === undefined ? outcome.message : `sample of line ${line}: ${outcome.message}`,
    )
  const [given, answered] = [inputs.map(goldenTensor), outcome.outputs.map(goldenTensor)]
  const isComplete = (tensor: Vector['inputs'][number] | undefined) => tensor !== undefined
  return given.every(isComplete) && answered.every(isComplete)
    ? { inputs: given as Vector['inputs'], outputs: answered as Vector['outputs'] }
    : undefined
}
