// Sticky users who differ and come back: A/A, with each of them counted once per salt, and as a warning at every request.

import { splitMixture } from '../../../src/gate/eprocess.ts'
import { ALPHA_SPLIT } from '../../../src/gate/levels.ts'
import { type Arm, assign } from '../../../src/routing/assign.ts'
import { firstSight } from '../../../src/serving/units.ts'
import { Canary } from '../canary.ts'
import { policyOf } from '../model.ts'
import { Random, seedOf, zipf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { falseRateTarget, rate } from '../statistics.ts'
import { ERROR_PEERS, Series } from '../traffic.ts'

const NAME = 'sticky'
const USERS = 20_000
const REQUESTS = 60_000
const SHARE = 0.1
const ARMS: readonly Arm[] = [
  { version: '1.1.0', weight: 100 * SHARE },
  { version: '1.0.0', weight: 100 * (1 - SHARE) },
]
/** One user in twenty fails often, the others hardly ever: 1 % over all. */
const FRAIL = 0.05
const FRAIL_RATE = 0.15
const FIRM_RATE = 0.0025
/** The split is looked at this often; it can only be late by so many requests. */
const SPLIT_EVERY = 25
const STEP = 100
const COUNTING = ['each user once per salt', 'every request (not what the gateway does)'] as const

interface Part {
  readonly aborted: number[]
  readonly invalid: number[]
  /** By peer, blocked and asked. */
  readonly peers: [blocked: number, asked: number][]
  runs: number
}

export const sticky: Scenario<Part> = {
  name: NAME,
  title: 'A/A with sticky users',
  about: `${USERS.toLocaleString('en')} users come ${REQUESTS.toLocaleString('en')} times by Zipf's law (exponent 1.1); one in twenty fails in 15 % of the requests, the others in 0.25 %. The gateway's own assignment (10 % to the candidate) and record of seen users, a new salt a run.`,
  cells: 1,
  runs: (_, size: Size) => scaled(size, 1_000, 150, 3),

  measure(cell, from, to) {
    const policy = policyOf()
    const canaries = COUNTING.map(() => new Canary({ policy, shares: [SHARE], withLatency: false }))
    const seen = new SharedArrayBuffer(1024 * 1024)
    const draw = zipf(USERS, 1.1)
    const part: Part = { aborted: [0, 0], invalid: [0, 0], peers: ERROR_PEERS.map(() => [0, 0]), runs: to - from }
    const series = new Series(REQUESTS, STEP)
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      const salt = `salt-${run}`
      new Uint8Array(seen).fill(0)
      /** 0 unknown, 1 baseline, 2 candidate; an assignment is a pure function, so it is worked out once a user. */
      const arms = new Uint8Array(USERS)
      const frail = Uint8Array.from(arms, () => Number(random.chance(FRAIL)))
      const aborted = [false, false]
      const invalid = [false, false]
      const sizes = [
        [0, 0],
        [0, 0],
      ]
      const totals = [new Float64Array(2), new Float64Array(2)] as const
      for (const canary of canaries) canary.start()
      for (let request = 1; request <= REQUESTS; request++) {
        const user = draw(random)
        const isNew = arms[user] === 0
        if (isNew) arms[user] = assign(salt, `user-${user}`, ARMS) === '1.1.0' ? 2 : 1
        const isCandidate = arms[user] === 2
        const isError = random.chance(frail[user] ? FRAIL_RATE : FIRM_RATE)
        const total = totals[isCandidate ? 0 : 1]
        total[0]!++
        if (isError) total[1]!++
        if (request % STEP === 0) series.mark(request / STEP - 1, totals[0], totals[1])
        // A seen unit stays seen; only first visits can set a bit.
        const counts = [isNew && firstSight(seen, `${salt}/seen`, `user-${user}`), true]
        for (const [index, canary] of canaries.entries()) {
          if (!counts[index]) continue
          sizes[index]![isCandidate ? 0 : 1]!++
          if (!aborted[index]) {
            canary.request(isCandidate, isError, 0)
            if (canary.isAborted) aborted[index] = isHarm(canary)
          }
          const [candidate = 0, baseline = 0] = sizes[index]!
          if (!invalid[index] && (candidate + baseline) % SPLIT_EVERY === 0)
            invalid[index] = splitMixture([{ share: SHARE, candidate, baseline }]) >= Math.log(1 / ALPHA_SPLIT)
        }
      }
      // The end of a run that did not cross is held against the gate too.
      for (const [index, canary] of canaries.entries()) if (!aborted[index]) canary.verdict()
      for (const [index, peer] of ERROR_PEERS.entries()) {
        if (run % peer.every !== 0) continue
        part.peers[index]![1]++
        if (peer.at(series) !== undefined) part.peers[index]![0]++
      }
      for (const index of [0, 1]) {
        part.aborted[index]! += Number(aborted[index])
        part.invalid[index]! += Number(invalid[index])
      }
    }
    return part
  },

  rows(parts) {
    const total = (of: (part: Part) => number) => parts[0]!.reduce((sum, part) => sum + of(part), 0)
    const runs = total(part => part.runs)
    const ours = COUNTING.map((counting, index): Row => {
      const falseBlock = rate(
        total(part => part.aborted[index]!),
        runs,
      )
      return {
        scenario: NAME,
        setting: `Zipf users, w ${SHARE}`,
        method: `Understudy, counting ${counting}`,
        looks: 'each request',
        figures: {
          falseBlock,
          falseInvalid: rate(
            total(part => part.invalid[index]!),
            runs,
          ),
        },
        ...(index === 0 && {
          target: { figure: 'falseBlock', kind: 'at most', limit: 0.01, bound: 0.013 },
          verdict: falseRateTarget(falseBlock, 0.01, 0.013),
        }),
      }
    })
    const peers = ERROR_PEERS.map(
      ({ method, looks }, index): Row => ({
        scenario: NAME,
        setting: `Zipf users, w ${SHARE}`,
        method,
        looks,
        figures: {
          falseBlock: rate(
            total(part => part.peers[index]![0]),
            total(part => part.peers[index]![1]),
          ),
        },
      }),
    )
    return [...ours, ...peers]
  },
}

/** Whether the gate's verdict at a crossing is about harm: a broken split may hide it, and is counted by itself. */
function isHarm(canary: Canary): boolean {
  const { decision } = canary.verdict()
  demand(decision === 'abort' || decision === 'invalid', `the gate says ${decision} where Σ v·E crossed`)
  return true
}
