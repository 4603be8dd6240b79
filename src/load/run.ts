// Runs one plan of any mode in this thread.
import { runClosedLoop } from './closedLoop.ts'
import { runOpenLoop } from './openLoop.ts'
import { type LoadResult, Plan, type PlanInput, TurnsPlan, type TurnsPlanInput } from './plan.ts'
import { runTurns } from './turns.ts'

/** Sends what the plan says and tells what came of it. @throws ZodError for a plan that is not one */
export async function runLoad(input: PlanInput): Promise<LoadResult> {
  const plan = Plan.parse(input)
  return plan.mode === 'open' ? runOpenLoop(plan) : runClosedLoop(plan)
}

/** The same for several servers in turn: one result each. @throws ZodError for a plan that is not one */
export async function runLoadInTurns(input: TurnsPlanInput): Promise<LoadResult[]> {
  return runTurns(TurnsPlan.parse(input))
}
