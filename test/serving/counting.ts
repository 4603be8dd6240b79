// A version's answers, counted as on a serving thread and read as on the control thread.
import { type AnswerCounts, Answered } from '../../src/control/answered.ts'
import { CountedMemory, VersionCounts } from '../../src/serving/counted.ts'

export interface Counting {
  readonly counts: VersionCounts
  /** What no tester picked the version for, since the beginning. */
  assigned(): AnswerCounts
  /** Status codes of all its answers since the last call, each with how many. */
  codes(): [code: number, answers: number][]
}

export function counting(version: string): Counting {
  const memory = new CountedMemory()
  const control = new Answered()
  let sum: AnswerCounts = { n: 0, errors: 0 }
  const hear = () => control.told('serving-1', memory.take())
  return {
    counts: new VersionCounts(memory, { route: 'm', version, role: 'live' }),
    assigned: () => {
      hear()
      const { n, errors } = control.takeAnswers().get(`m/${version}`) ?? { n: 0, errors: 0 }
      sum = { n: sum.n + n, errors: sum.errors + errors }
      return sum
    },
    codes: () => {
      hear()
      return control.take().flatMap(({ codes }) => codes.map(({ code, count }): [number, number] => [code, count]))
    },
  }
}
