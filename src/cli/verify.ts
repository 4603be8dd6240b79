// Finds what is wrong with model folders: bytes, signature, golden vectors. Sessions live in a child process only.
import { messageOf } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import { readModelFolder } from '../models/source.ts'
import { signatureMismatch } from '../scoring/golden.ts'
import type { LoadedModel } from '../scoring/message.ts'
import { ScoringProcess } from '../scoring/pool.ts'

/** What is wrong with each folder below `root`; folders without a fault are left out. */
export async function verifyFolders(root: string, folders: readonly string[]): Promise<Map<string, string>> {
  const faults = new Map<string, string>()
  const scoring = new ScoringProcess()
  try {
    for (const folder of folders) {
      const fault = await faultOf(scoring, root, folder)
      if (fault !== undefined) faults.set(folder, fault)
    }
  } finally {
    await scoring.stop()
  }
  return faults
}

async function faultOf(scoring: ScoringProcess, root: string, folder: string): Promise<string | undefined> {
  try {
    const { manifest, file, sha256 } = await readModelFolder(root, folder)
    const model = await scoring.load({ file, sha256, golden: manifest.golden })
    const fault = signatureFault(model, manifest)
    await scoring.scorer(sha256).close()
    return fault === undefined ? undefined : `${folder}: ${fault}`
  } catch (error) {
    const message = messageOf(error)
    return message.startsWith(folder) ? message : `${folder}: ${message}`
  }
}

function signatureFault(model: LoadedModel, { signature }: Manifest): string | undefined {
  return (
    signatureMismatch('inputs', model.inputs, signature.inputs) ??
    signatureMismatch('outputs', model.outputs, signature.outputs)
  )
}
