// Reads model folders: manifest and bytes, checked against each other. Scores nothing.
import { readFile } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { messageOf, UnderstudyError } from '../errors.ts'
import { sha256Of } from './digest.ts'
import { Manifest } from './manifest.ts'

/** A manifest and the text that it was parsed from. */
export interface ManifestText {
  readonly text: string
  readonly manifest: Manifest
}

export interface ModelFolder extends ManifestText {
  /** Absolute path of the model file. */
  readonly file: string
  /** The manifest's sha256, which the bytes had when they were read. */
  readonly sha256: string
}

/**
 * The model in `folder` below `root`, its bytes hashed.
 * @param before what was read there last: parsing takes 10 ms and more, and the same text is not parsed again
 * @throws MODEL_BROKEN when a file is missing, the manifest is wrong, or the bytes do not have the manifest's sha256
 */
export async function readModelFolder(root: string, folder: string, before?: ManifestText): Promise<ModelFolder> {
  const base = resolve(root)
  const directory = resolve(base, folder)
  if (!directory.startsWith(base + sep))
    throw new UnderstudyError('MODEL_BROKEN', `${folder} is outside the models folder`)
  const text = await readFile(join(directory, 'model.yaml'), 'utf8').catch(cause => {
    throw new UnderstudyError('MODEL_BROKEN', `${folder}/model.yaml cannot be read`, { cause })
  })
  const manifest = text === before?.text ? before.manifest : parseManifest(text, folder)
  if (manifest.file !== 'model.onnx' && !/^[A-Za-z0-9._-]+$/.test(manifest.file)) {
    throw new UnderstudyError('MODEL_BROKEN', `${folder}/model.yaml: "file" must be a plain file name`)
  }
  const file = join(directory, manifest.file)
  const bytes = await readFile(file).catch(cause => {
    throw new UnderstudyError('MODEL_BROKEN', `${folder}/${manifest.file} cannot be read`, { cause })
  })
  const sha256 = sha256Of(bytes)
  if (sha256 !== manifest.sha256) {
    throw new UnderstudyError(
      'MODEL_BROKEN',
      `${folder}/${manifest.file} has sha256 ${sha256.slice(0, 12)}…, its manifest says ${manifest.sha256.slice(0, 12)}…`,
    )
  }
  return { text, manifest, file, sha256 }
}

function parseManifest(text: string, folder: string): Manifest {
  let raw: unknown
  try {
    raw = parse(text, { maxAliasCount: 100 })
  } catch (cause) {
    throw new UnderstudyError('MODEL_BROKEN', `${folder}/model.yaml: ${messageOf(cause)}`, { cause })
  }
  const parsed = Manifest.safeParse(raw)
  if (!parsed.success) {
    throw new UnderstudyError('MODEL_BROKEN', `${folder}/model.yaml: ${z.prettifyError(parsed.error)}`)
  }
  return parsed.data
}
