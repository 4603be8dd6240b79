// Writes how two answers to one request differ, for a person in a terminal. Decides nothing.
import { about, numeral } from '../gate/wording.ts'
import type { ExplainedComparison, ExplainedDifference } from '../shadow/explanation.ts'
import { printable, type Style, wrapped } from './table.ts'

/** A line, and one for each output, indented; 80 columns wide. */
export function comparisonText(comparison: ExplainedComparison, style: Style): string[] {
  const { baseline, candidate, result, errorType, detail, dropped, outputs } = comparison
  const paint = result === 'match' ? style.good : result === 'dropped' ? style.warn : style.bad
  const why = [errorType, dropped, detail].filter(text => text !== null).map(text => `: ${printable(text)}`)
  const lines = wrapped(`${printable(candidate)} against ${printable(baseline)}: ${result}${why.join('')}`, '  ')
  lines[0] = lines[0]!.replace(`: ${result}`, `: ${paint(result)}`)
  for (const output of outputs) lines.push(...wrapped(differenceText(output), '    '))
  return lines
}

function differenceText(difference: ExplainedDifference): string {
  const { output, kind, result } = difference
  const parts = [
    kind === null ? result : `${result} as ${kind}`,
    ...sizeText(difference),
    ...toleranceText(difference),
    ...rowsText(difference),
    ...valuesText(difference),
  ]
  return `${output === null ? 'answers' : printable(output)}: ${parts.join('; ')}`
}

/** Of numbers how far they are apart, of everything else what is different. */
function sizeText({ kind, reason, detail, maxAbsDiff, maxRelDiff }: ExplainedDifference): string[] {
  const isNumeric = kind === 'number' || kind === 'probabilities'
  const said = detail === null || (isNumeric && reason === 'value') ? [] : [printable(detail)]
  if (!isNumeric || maxAbsDiff === null) return said
  const relative = maxRelDiff === null ? '' : `, relative ${about(maxRelDiff)}`
  return [...said, `apart by up to ${about(maxAbsDiff)}${relative}`]
}

function rowsText({ rows, mismatchingRows, result }: ExplainedDifference): string[] {
  if (rows === null || rows <= 1) return []
  return [
    result === 'match' ? `${numeral(rows)} rows` : `${numeral(mismatchingRows ?? 0)} of ${numeral(rows)} rows differ`,
  ]
}

/** Baseline → candidate. */
function valuesText({ row, rows, baselineValue, candidateValue }: ExplainedDifference): string[] {
  if (baselineValue === null && candidateValue === null) return []
  const where = row === null || (rows ?? 1) <= 1 ? '' : `row ${row}: `
  return [`${where}${shown(baselineValue)} → ${shown(candidateValue)}`]
}

function toleranceText({ kind, tolerance }: ExplainedDifference): string[] {
  if (tolerance === null) return []
  const set = Object.entries(tolerance).filter(([, value]) => value !== undefined)
  if (set.length > 0) return [`tolerance ${set.map(([name, value]) => `${name} ${value}`).join(', ')}`]
  return kind === 'number' || kind === 'probabilities' ? ['tolerance none'] : []
}

function shown(value: number | string | null): string {
  return value === null ? 'none' : printable(String(value))
}
