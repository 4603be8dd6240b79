// Entry of a generator process: plans as JSON in, results as JSON out. Apart from what it loads, so that neither slows
// the other's event loop. `node process.ts '{"mode":…}'` runs one; without an argument, one a line of standard input.
import { createInterface } from 'node:readline'
import { messageOf } from '../errors.ts'
import type { PlanInput, TurnsPlanInput } from './plan.ts'
import { runLoad, runLoadInTurns } from './run.ts'

const [given] = process.argv.slice(2)
if (given !== undefined) await answer(given)
else for await (const line of createInterface({ input: process.stdin })) if (line.trim() !== '') await answer(line)

async function answer(text: string): Promise<void> {
  try {
    const plan = JSON.parse(text) as PlanInput | TurnsPlanInput
    const result = plan.mode === 'turns' ? await runLoadInTurns(plan) : await runLoad(plan)
    process.stdout.write(`${JSON.stringify({ result })}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: messageOf(error) })}\n`)
    process.exitCode = 1
  }
}
