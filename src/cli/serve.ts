// The command `serve`: starts a gateway, says where it listens, and ends it when it is told to.
import { existsSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { loadRoutes } from '../config/load.ts'
import { listenAddress } from '../config/units.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

interface ServeOptions {
  readonly routes: string
  readonly state: string
  readonly listen?: string
  readonly admin?: string
  readonly threads?: number
  readonly adopt?: boolean
  readonly json?: boolean
}

/** After a drain a process that something still holds open is given this long. */
const LINGER_MS = 10_000
const MAX_THREADS = 256

export function addServe(program: Command, { terminal }: CommandContext): void {
  program
    .command('serve')
    .summary('run the gateway')
    .description(
      'Runs the gateway that routes.yaml describes, until SIGTERM or SIGINT: the first drains, a second ends it at once.\nThe file is read again when it changes; a broken edit is refused and the last good one serves on.',
    )
    .option('--routes <file>', 'the routes file', './routes.yaml')
    .option(
      '--state <dir>',
      'folder where evidence, rollout log and labels are kept; none: nothing outlives the process',
      './.understudy',
    )
    .option('--listen <host:port>', 'address of the data plane, instead of the file’s', parseAddress)
    .option('--admin <host:port>', 'address of the admin API, instead of the file’s', parseAddress)
    .option('--threads <n>', 'serving threads (one per two processors by default)', parseThreads)
    .option('--adopt', 'accept the weights and live versions of the file as they stand, on record')
    .option('--json', 'print the ready line as JSON')
    .action((options: ServeOptions) => serve(options, terminal))
}

async function serve(options: ServeOptions, terminal: Terminal): Promise<void> {
  if (!existsSync(options.routes))
    throw new CommandFailure(
      EXIT.usage,
      `there is no ${options.routes} here; name the routes file with --routes FILE (\`understudy schema\` prints what may stand in it)`,
    )
  // A broken file is told before anything starts.
  const { config } = loadRoutes(options.routes)
  // Loaded here and not above: the other commands need neither the gateway nor its libraries.
  const [{ startGateway }, { createLogger }] = await Promise.all([
    import('../gateway.ts'),
    import('../telemetry/log.ts'),
  ])
  const asked = askedToStop(terminal)
  try {
    const gateway = await startGateway({
      routesFile: options.routes,
      stateDir: options.state,
      ...(options.listen !== undefined && { listen: options.listen }),
      ...(options.admin !== undefined && { admin: options.admin }),
      ...(options.threads !== undefined && { threads: options.threads }),
      ...(options.adopt !== undefined && { adopt: options.adopt }),
      log: createLogger(),
    })
    const predictions = urlOf(options.listen ?? config.listen, gateway.dataPort)
    const admin = urlOf(options.admin ?? config.admin.listen, gateway.adminPort)
    terminal.out(
      options.json === true
        ? `${JSON.stringify({ ready: true, predictions, admin, pid: process.pid })}\n`
        : `understudy is ready: predictions on ${predictions}, admin API on ${admin}\n`,
    )
    await asked.promise
    terminal.err('draining; a second signal ends at once\n')
    killAfter(drainMs(options.routes) + LINGER_MS)
    await gateway.stop()
  } finally {
    asked.done()
  }
  killAfter(LINGER_MS)
}

/** npm and `timeout` pass a signal on that the process group has had already: what follows this soon is the same one. */
const ECHO_MS = 1_000

/** Resolves at the first SIGTERM or SIGINT. A second one kills: with ONNX sessions alive process.exit would abort. */
function askedToStop(terminal: Terminal): { readonly promise: Promise<void>; readonly done: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let firstAt: number | undefined
  const onSignal = () => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      return resolve()
    }
    if (performance.now() - firstAt < ECHO_MS) return
    terminal.err('ended before the drain was over\n')
    process.kill(process.pid, 'SIGKILL')
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return {
    promise,
    done: () => {
      process.off('SIGTERM', onSignal)
      process.off('SIGINT', onSignal)
    },
  }
}

/** The last resort of a process that must not call process.exit. Does not keep it alive. */
function killAfter(ms: number): void {
  setTimeout(() => {
    process.stderr.write('something still holds the process open; ending it\n')
    process.kill(process.pid, 'SIGKILL')
  }, ms).unref()
}

/** How long the file, as it stands now, gives a drain. */
function drainMs(file: string): number {
  try {
    const { drain } = loadRoutes(file).config
    return drain.delay + drain.deadline
  } catch {
    return 30_000
  }
}

function urlOf(address: string | { readonly host: string }, port: number): string {
  const host = typeof address === 'string' ? listenAddress.parse(address).host : address.host
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function parseAddress(text: string): string {
  const parsed = listenAddress.safeParse(text)
  if (!parsed.success) throw new InvalidArgumentError(`${parsed.error.issues[0]?.message ?? 'expected host:port'}.`)
  return text
}

function parseThreads(text: string): number {
  const threads = Number(text)
  if (!/^\d+$/.test(text) || threads < 1 || threads > MAX_THREADS)
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_THREADS}.`)
  return threads
}
