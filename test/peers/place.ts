// Where the Python environment of the real peers is and whether it is complete; installs and starts nothing.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HERE = join(ROOT, 'test/peers')
const TRAINERS = join(ROOT, 'models/train')

export const REQUIREMENTS = join(HERE, 'requirements.txt')
export const TRAIN = join(TRAINERS, 'train.py')
export const SAVE_MLFLOW = join(HERE, 'save_mlflow.py')

export interface Peers {
  /** Folder of `python`, `mlserver`, `mlflow` and `uvicorn`. */
  readonly bin: string
  readonly python: string
  /** The fitted pipeline of a shipped version. */
  pickle(model: string, version: string): string
  /** The same pipeline as MLflow saves it; what it predicts are the probabilities. */
  mlflowModel(model: string, version: string): string
}

/** Folders that are complete when they exist; named by what they are made of, so that a change makes new ones. */
export interface Places {
  readonly environment: string
  readonly models: string
}

/** `UNDERSTUDY_PEERS`, else below the user's cache, so that fresh clones find what an older one installed. */
export function places(): Places {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const root = process.env.UNDERSTUDY_PEERS || join(cache, 'understudy-peers')
  const requirements = [REQUIREMENTS, join(TRAINERS, 'requirements.txt')]
  const scripts = readdirSync(TRAINERS).filter(file => file.endsWith('.py'))
  return {
    environment: join(root, `environment-${digest(requirements)}`),
    models: join(
      root,
      `models-${digest([...requirements, SAVE_MLFLOW, ...scripts.map(file => join(TRAINERS, file))])}`,
    ),
  }
}

/** What was installed, complete or not at all. */
export function installed({ environment, models }: Places = places()): Peers | undefined {
  if (!existsSync(environment) || !existsSync(models)) return undefined
  const bin = join(environment, 'bin')
  return {
    bin,
    python: join(bin, 'python'),
    pickle: (model, version) => join(models, 'pickles', model, version, 'model.pkl'),
    mlflowModel: (model, version) => join(models, 'mlflow', model, version),
  }
}

function digest(files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of [...files].sort()) hash.update(readFileSync(file))
  return hash.digest('hex').slice(0, 12)
}
