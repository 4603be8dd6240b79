// What release this is: read from package.json, once.
import packageJson from '../package.json' with { type: 'json' }

export const VERSION: string = packageJson.version
