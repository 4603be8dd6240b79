// What a report that was made from spans says of them: sentences and cells. Pure.
import { numeral, percentage } from '../gate/wording.ts'
import type { Section, Table } from './section.ts'
import type { Report } from './status.ts'

/** Where the figures are from, of a report that was made from spans. */
export function tracesSections({ traces: from }: Report): Section[] {
  if (!from) return []
  const { requests, sampled, ratio, estimates, notes } = from
  const of =
    ratio[0] >= 1 ? 'every request was kept' : `${numeral(sampled)} of ${numeral(requests)} kept requests count`
  return [
    {
      title: 'Made from spans',
      lines: [
        `${numeral(requests)} requests in the file, ${of}; this licenses nothing, only the gateway’s own verdict does`,
        ...notes,
      ],
      table: estimates.length === 0 ? undefined : estimatesTable(estimates),
    },
  ]
}

/** Weighted estimates beside what the verdict's sample says. */
function estimatesTable(estimates: NonNullable<Report['traces']>['estimates']): Table {
  const shown = (value: number | null, isShare: boolean) =>
    value === null ? '–' : isShare ? percentage(value) : numeral(Math.round(value))
  return {
    head: ['of all requests', 'estimate', '95 % interval', 'in the sample'],
    rows: estimates.map(({ what, isShare, estimate, interval, sample }) => [
      what,
      shown(estimate, isShare),
      interval === null ? '–' : `${shown(interval[0], isShare)} to ${shown(interval[1], isShare)}`,
      shown(sample, isShare),
    ]),
    right: [1, 3],
  }
}
