// The command `demo`: plays four scenes with a real gateway and real flights, and says whether they went as told.
import { once } from 'node:events'
import { type Command, InvalidArgumentError } from 'commander'
import { loadRoutes } from '../config/load.ts'
import { messageOf } from '../errors.ts'
import { numeral } from '../gate/wording.ts'
import type { CommandContext } from './context.ts'
import { playClimb } from './demo/climb.ts'
import { playEnd } from './demo/end.ts'
import { playHang } from './demo/hang.ts'
import type { Play } from './demo/play.ts'
import { LIVE, policyRows, ROUTE } from './demo/policy.ts'
import { readFlights } from './demo/rows.ts'
import { playHeld, playWorse } from './demo/scenes.ts'
import { Tell } from './demo/tell.ts'
import { Traffic } from './demo/traffic.ts'
import { startWorld } from './demo/world.ts'
import { EXIT } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'

interface DemoOptions {
  readonly seed: number
  readonly json?: boolean
}

export const DEMO_VERSION = 1
const SEED = 2013
const CONNECTIONS = 8
const TRAFFIC = new URL('../../models/flight-delay/traffic.csv', import.meta.url)
const SCENES: readonly (readonly [name: string, play: (play: Play) => Promise<void>])[] = [
  ['worse', playWorse],
  ['held', playHeld],
  ['climb', playClimb],
  ['hang', playHang],
]

export function addDemo(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('demo')
    .summary('see it work, in about a minute')
    .description(
      'Starts a gateway on free ports with a temporary folder and plays four scenes with real held-out flights: a worse version that a fixed limit would pass, a hand edit that is held, a better version that climbs to live, and a shadow that hangs. Every figure is measured in that run. On a terminal it keeps serving until Ctrl-C; exit code 1 when a scene did not go as told.',
    )
    .option('--seed <n>', 'which flights are drawn', parseSeed, SEED)
    .option('--json', 'print a summary as JSON at the end; the play goes to stderr')
    .action(async (options: DemoOptions) => {
      const wentAsTold = await demo(options, terminal)
      if (!wentAsTold) exit(EXIT.error)
    })
}

async function demo({ seed, json }: DemoOptions, terminal: Terminal): Promise<boolean> {
  const startedMs = performance.now()
  const tell = new Tell({
    write: json === true ? terminal.err : terminal.out,
    colour: terminal.colour && json !== true,
    moving: terminal.interactive && json !== true && terminal.env.TERM !== 'dumb',
    columns: process.stdout.columns ?? 100,
  })
  const interrupt = interruption()
  const { signal } = interrupt
  try {
    tell.title('understudy demo')
    const flights = await readFlights(TRAFFIC)
    tell.line(
      `Will a flight arrive late? ${numeral(flights.length)} flights that no version was trained on, drawn with replacement`,
    )
    tell.line(
      `under seed ${seed}, are sent to one gateway; what really became of them follows. Every figure is measured now.`,
    )
    const world = await startWorld(signal)
    const traffic = new Traffic({ url: world.predictions, route: ROUTE, flights, seed, connections: CONNECTIONS })
    const play: Play = { tell, world, traffic, flights, signal, scene: 'stage', checks: [], figures: {}, reports: [] }
    try {
      tell.title('0 · The stage')
      tell.line(`predictions ${world.predictions}, admin API ${world.admin}, gateway process ${world.pid}`)
      tell.line(`files in ${world.folder}: routes.yaml, state, gateway.log`)
      tell.line(`${LIVE} is live. The gate is made quick for this play; otherwise its defaults hold:`)
      const policy = loadRoutes(world.routesFile).config.routes[ROUTE]!
      tell.figures(policyRows(policy), [], ['setting', 'here', 'default', ''])
      await playScenes(play)
      const wentAsTold = await playEnd(play, performance.now() - startedMs)
      if (json === true) {
        const { checks, figures, reports } = play
        const elapsedMs = Math.round(performance.now() - startedMs)
        terminal.out(
          jsonText({
            demoVersion: DEMO_VERSION,
            wentAsTold,
            seed,
            elapsedMs,
            requests: traffic.sent,
            checks,
            figures,
            reports,
          }),
        )
      } else if (terminal.interactive && !signal.aborted) {
        tell.line()
        tell.line(`The gateway keeps serving until Ctrl-C: predictions ${world.predictions}, admin API ${world.admin}`)
        tell.line(`Look at it from another terminal: npx understudy status --admin ${world.admin}`)
        await once(signal, 'abort')
      }
      return wentAsTold
    } finally {
      await traffic.close()
      await world.stop()
    }
  } catch (error) {
    if (!signal.aborted) throw error
    tell.line('interrupted; the gateway is ended')
    return false
  } finally {
    interrupt.done()
  }
}

/** Scene by scene; what stops one ends the play, since the next would start from something else. */
async function playScenes(play: Play): Promise<void> {
  const seconds: Record<string, number> = {}
  play.figures.seconds = seconds
  for (const [scene, act] of SCENES) {
    const startedMs = performance.now()
    play.scene = scene
    try {
      await act(play)
    } catch (error) {
      play.signal.throwIfAborted()
      await play.traffic.pause()
      play.checks.push({ scene, ok: false, expected: `scene ${scene} to be played`, seen: messageOf(error) })
      play.tell.line(play.tell.style.bad(`not as told: ${messageOf(error)}`))
      if (play.traffic.lastError !== undefined)
        play.tell.line(`the last request without an answer: ${play.traffic.lastError}`)
      return
    } finally {
      seconds[scene] = Math.round((performance.now() - startedMs) / 100) / 10
    }
  }
}

/** A signal to end; the process's own handlers, so that the gateway is ended first. A second one changes nothing. */
function interruption(): { readonly signal: AbortSignal; readonly done: () => void } {
  const controller = new AbortController()
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const onSignal = () => controller.abort()
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    done: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}

function parseSeed(text: string): number {
  const seed = Number(text)
  if (!/^\d+$/.test(text) || seed > 0xffff_ffff)
    throw new InvalidArgumentError('Expected a whole number from 0 to 4294967295.')
  return seed
}
