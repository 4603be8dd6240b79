// A version's answers, counted as on a serving thread and read as on the control thread.
import { type AnswerCounts, Answered } from '../../src/control/answered.ts'
import { CountedMemory, VersionCounts } from '../../src/serving/counted.ts'

export interface Counting {
  readonly counts: VersionCounts
  /** What no tester picked the version for, since the beginning. */
  assigned(): AnswerCounts
}

export function counting(version: string): Counting {
  const memory = new CountedMemory()
  const control = new Answered()
  let sum: AnswerCounts = { n: 0, errors: 0 }
  return {
    counts: new VersionCounts(memory, { route: 'm', version, role: 'live' }),
    assigned: () => {
      control.told('serving-1', memory.take())
      const { n, errors } = control.takeAnswers().get(`m/${version}`) ?? { n: 0, errors: 0 }
      sum = { n: sum.n + n, errors: sum.errors + errors }
      return sum
    },
  }
}
