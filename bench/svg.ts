// What the plots of the benchmarks share: a self-contained SVG, readable on light and dark pages and in print. Pure.

export interface Axis {
  readonly label: string
  readonly scale: 'linear' | 'log'
  readonly ticks: readonly number[]
}

/** Okabe & Ito's colours without their yellow, which no white page shows; a shape each for eyes and printers without colour. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#56b4e9', '#7f7f7f', '#e69f00', '#a0522d']
const SHAPES = ['circle', 'square', 'diamond', 'triangle'] as const

export function page(title: string, width: number, height: number, parts: readonly string[]): string {
  // Colours follow the page where it says which it is; a picture inside a page without a scheme stays light on white.
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
svg { background: #fff; font: 12px system-ui, sans-serif }
text { fill: #1f2328 } .soft { fill: #59636e } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d1d9e0 } .rule { stroke: #59636e; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } text { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d } .rule { stroke: #9198a1 }
}
</style>
${parts.join('\n')}
</svg>
`
}

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length]!
}

export function marker(index: number, x: number, y: number): string {
  const fill = `fill="${colourOf(index)}"`
  switch (SHAPES[index % SHAPES.length]) {
    case 'square':
      return `<rect ${fill} x="${at(x - 4)}" y="${at(y - 4)}" width="8" height="8"/>`
    case 'diamond':
      return `<path ${fill} d="M${at(x)} ${at(y - 5.5)}l5.5 5.5-5.5 5.5-5.5-5.5z"/>`
    case 'triangle':
      return `<path ${fill} d="M${at(x)} ${at(y - 5)}l5 9h-10z"/>`
    default:
      return `<circle ${fill} cx="${at(x)}" cy="${at(y)}" r="4"/>`
  }
}

export function scaleOf({ scale }: Pick<Axis, 'scale'>, from: number, to: number, start: number, end: number) {
  const read = scale === 'log' ? Math.log : (value: number) => value
  const span = read(to) - read(from)
  return (value: number) => start + ((read(value) - read(from)) / (span === 0 ? 1 : span)) * (end - start)
}

export function at(value: number): string {
  return value.toFixed(1)
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
