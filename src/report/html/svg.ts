// The frame of a plot: its size, axes and grid, its name for those who do not see it. Knows no metric.
import { about } from '../../gate/wording.ts'
import { html, type Markup } from './markup.ts'
import type { Axis } from './scale.ts'

/** A plot's drawing area inside its frame, in user units (about a pixel each). */
export interface Area {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Every plot is as wide as this, so that its text is of one size wherever it stands. */
export const WIDTH = 360

/** @param id unique on the page; @param title one phrase; @param description what the plot shows, in a sentence */
export function svg(id: string, height: number, title: string, description: string, content: Markup[]): Markup {
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${title}</title><desc id="${id}-d">${description}</desc>${content}</svg>`
}

/** Where a share of the width, and of the height from the bottom, is; cut to the area's neighbourhood. */
export function at(area: Area, x: number, y: number): [x: number, y: number] {
  const cut = (value: number) => Math.min(Math.max(Number.isFinite(value) ? value : 0, -0.5), 1.5)
  return [place(area.left + cut(x) * area.width), place(area.top + (1 - cut(y)) * area.height)]
}

/** Two decimals are below what a screen can show. */
export function place(value: number): number {
  return Math.round(value * 100) / 100
}

/** Horizontal hairlines with their values to the left. */
export function rowsOf(area: Area, axis: Axis, text: (value: number) => string = about): Markup[] {
  return axis.ticks.map(tick => {
    const [, y] = at(area, 0, axis.place(tick))
    return html`<line class="grid" x1="${area.left}" x2="${area.left + area.width}" y1="${y}" y2="${y}"/><text class="tick" x="${area.left - 6}" y="${y + 3.5}" text-anchor="end">${text(tick)}</text>`
  })
}

/** Values below the area, each with a short stroke. */
export function columnsOf(area: Area, axis: Axis, text: (value: number) => string = about): Markup[] {
  const bottom = area.top + area.height
  return [
    html`<line class="axis" x1="${area.left}" x2="${area.left + area.width}" y1="${bottom}" y2="${bottom}"/>`,
    ...axis.ticks.map(tick => {
      const [x] = at(area, axis.place(tick), 0)
      return html`<line class="axis" x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 4}"/><text class="tick" x="${x}" y="${bottom + 16}" text-anchor="middle">${text(tick)}</text>`
    }),
  ]
}

/** Only what lies inside the area is seen. @param id unique on the page */
export function clipped(id: string, area: Area, content: Markup[]): Markup {
  return html`<clipPath id="${id}"><rect x="${area.left}" y="${area.top}" width="${area.width}" height="${area.height}"/></clipPath><g clip-path="url(#${id})">${content}</g>`
}

/** A line through points; nothing for fewer than two. */
export function polyline(points: readonly (readonly [number, number])[], name: string): Markup | undefined {
  if (points.length < 2) return undefined
  return html`<polyline class="${name}" points="${points.map(point => point.join(',')).join(' ')}"/>`
}
