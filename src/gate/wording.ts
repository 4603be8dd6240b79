// Writes figures for people. Knows nothing of what they mean.

/** 1234567 → "1,234,567". */
export function numeral(value: number): string {
  const [whole = '', fraction] = String(value).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

/** A count to two significant digits, rounded up: 1873 → "1,900", 7 → "7". */
export function approximate(value: number): string {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(value, 1))) - 1)
  return numeral(Math.ceil(value / unit) * unit)
}

/** Three significant digits: 0.00812345 → "0.00812". */
export function about(value: number): string {
  return numeral(Number(value.toPrecision(3)))
}

/** 0.01234 → "1.23 %". */
export function percentage(value: number): string {
  return `${about(value * 100)} %`
}

/** 2_400_000 → "40 minutes"; the largest unit that leaves at least 1, one decimal below 10. */
export function duration(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const
  const [name, size] = units.find(([, length]) => ms >= length) ?? units[3]
  const amount = ms / size
  const shown = amount < 10 ? Math.round(amount * 10) / 10 : Math.round(amount)
  return `${shown} ${name}${shown === 1 ? '' : 's'}`
}
