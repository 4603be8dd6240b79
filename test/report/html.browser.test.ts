import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CONTENT_SECURITY_POLICY, reportHtml } from '../../src/report/html/page.ts'
import type { Report } from '../../src/report/status.ts'
import { CHROMIUM, openBrowser } from './browser.ts'
import { empty, extreme, full, hostile, throughJson } from './html.sample.ts'

const reports: Readonly<Record<string, Report>> = {
  full,
  empty,
  hostile: throughJson(hostile),
  extreme: throughJson(extreme),
}

describe.skipIf(CHROMIUM === undefined)('the page in Chromium', () => {
  let folder: string
  let server: Server
  const asked: string[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'understudy-page-'))
    for (const [name, report] of Object.entries(reports))
      await writeFile(join(folder, `${name}.html`), reportHtml(report))
    server = createServer((request, response) => {
      asked.push(request.url ?? '')
      const report = reports[(request.url ?? '').slice(1)]
      if (report === undefined) return void response.writeHead(404).end()
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': CONTENT_SECURITY_POLICY,
      })
      response.end(reportHtml(report))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  })

  afterAll(async () => {
    server.close()
    server.closeAllConnections()
    await rm(folder, { recursive: true, force: true })
  })

  /** Opens a page as a server sends it, and hands over what Chromium said and asked for meanwhile. */
  async function opened<T>(
    name: string,
    options: BrowserContextOptions,
    look: (page: Page) => Promise<T>,
  ): Promise<{ result: T; said: string[]; requests: string[] }> {
    const context = await (await openBrowser()).newContext({ viewport: { width: 1280, height: 900 }, ...options })
    try {
      const page = await context.newPage()
      const said: string[] = []
      const requests: string[] = []
      page.on('console', message => said.push(message.text()))
      page.on('pageerror', error => said.push(error.message))
      page.on('dialog', dialog => {
        said.push(`dialog: ${dialog.message()}`)
        void dialog.dismiss()
      })
      page.on('request', request => requests.push(request.url()))
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`)
      return { result: await look(page), said, requests }
    } finally {
      await context.close()
    }
  }

  it.each(Object.keys(reports))(
    'shows the %s report without a complaint, and asks for nothing but itself',
    async name => {
      asked.length = 0
      const { result, said, requests } = await opened(name, {}, page => page.locator('h1').innerText())
      expect(result.length).toBeGreaterThan(10)
      expect(said).toEqual([])
      expect(requests).toHaveLength(1)
      expect(asked.filter(path => path !== '/favicon.ico')).toEqual([`/${name}`])
    },
  )

  it('reads the same from a file, with scripts switched off', async () => {
    const context = await (await openBrowser()).newContext({ javaScriptEnabled: false })
    try {
      const page = await context.newPage()
      await page.goto(pathToFileURL(join(folder, 'full.html')).href)
      expect(await page.locator('section').count()).toBeGreaterThan(6)
      expect((await page.locator('svg[role=img]').first().boundingBox())?.height).toBeGreaterThan(100)
    } finally {
      await context.close()
    }
  })

  describe.each(Object.keys(reports))('with the %s report', name => {
    it('fits a phone, a tablet and a desk: only tables scroll sideways', async () => {
      await opened(name, {}, async page => {
        for (const width of [400, 760, 1280]) {
          await page.setViewportSize({ width, height: 900 })
          expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
        }
      })
    })

    it('gives every plot room, and its text a readable size', async () => {
      await opened(name, {}, async page => {
        for (const width of [400, 1280]) {
          await page.setViewportSize({ width, height: 900 })
          for (const plot of await page.evaluate<{ width: number; height: number; text: number }[]>(PLOTS)) {
            expect(plot.width).toBeGreaterThan(200)
            expect(plot.height).toBeGreaterThan(15)
            expect(plot.text).toBeGreaterThan(8)
          }
        }
      })
    })
  })

  it('draws what a full report has: paths, a band, bars, cells, two curves', async () => {
    const marks = ['polyline.candidate', 'polygon.band', '.bar-b', '.same', 'polyline.baseline', '.limit', '.safety']
    await opened('full', {}, async page => {
      for (const mark of marks) {
        const boxes = await page.locator(`svg ${mark}`).all()
        const drawn = await Promise.all(boxes.slice(0, 5).map(each => each.boundingBox()))
        expect([mark, drawn.some(box => box !== null && box.width + box.height > 1)]).toEqual([mark, true])
      }
    })
  })

  it('has colours of its own in the dark, each of them readable on its ground', async () => {
    const grounds: string[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      const { result } = await opened('full', { colorScheme }, page =>
        page.evaluate<{ ground: string; colours: string[] }>(COLOURS),
      )
      grounds.push(result.ground)
      expect(result.colours.length).toBeGreaterThan(4)
      const faint = result.colours.filter(colour => contrast(colour, result.ground) < READABLE)
      expect(faint).toEqual([])
    }
    expect(new Set(grounds).size).toBe(2)
  })

  it('prints on A4 in ink on white, whatever the screen shows', async () => {
    const { result } = await opened('full', { colorScheme: 'dark' }, async page => {
      await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
      const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
      const pdf = await page.pdf({ preferCSSPageSize: true })
      return { ground, pages: pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0, pdf: pdf.subarray(0, 5) }
    })
    expect(result.ground).toBe('rgb(255, 255, 255)')
    expect(result.pdf.toString()).toBe('%PDF-')
    expect(result.pages).toBeGreaterThan(2)
    expect(result.pages).toBeLessThan(20)
  })
})

/** Runs in the page: the size of each plot, and of its first text. */
const PLOTS = `[...document.querySelectorAll('svg[role=img]')].map(plot => {
  const { width, height } = plot.getBoundingClientRect()
  const text = plot.querySelector('text')
  return { width, height, text: text === null ? 99 : text.getBoundingClientRect().height }
})`

/** Runs in the page: its ground, and every colour that a text has. */
const COLOURS = `({
  ground: getComputedStyle(document.body).backgroundColor,
  colours: [...new Set([...document.querySelectorAll('h1 span, p, td, th, dt, dd, svg text, .state')].map(each => {
    const style = getComputedStyle(each)
    return each.closest('svg') === null ? style.color : style.fill
  }))],
})`

/** WCAG 2.1 AA, for text of ordinary size. */
const READABLE = 4.5

/** WCAG 2.1, relative luminance and contrast ratio of two `rgb(r, g, b)`. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(part => {
      const share = Number(part) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}
