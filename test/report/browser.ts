// Finds a Chromium and opens pages in it; every browser is closed when the file ends.
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { afterAll } from 'vitest'

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** Where a Chromium is: `CHROMIUM`, or where systems put it; undefined when there is none. */
export const CHROMIUM = PLACES.find(place => place !== undefined && place !== '' && existsSync(place))

if (CHROMIUM === undefined) {
  console.warn(
    'NOT TESTED: no Chromium was found, so nothing was rendered. Install one, or say where it is in CHROMIUM.',
  )
}

let browser: Promise<Browser> | undefined

export function openBrowser(): Promise<Browser> {
  browser ??= chromium.launch({
    executablePath: CHROMIUM!,
    // In a container there is no user namespace to sandbox in; the page is our own and loads nothing.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  })
  return browser
}

afterAll(async () => {
  await (await browser)?.close()
})
