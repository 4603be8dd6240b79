// The process's own log, on stderr. What requests and answers hold is never logged: nobody passes it here.
import { type DestinationStream, destination, type Logger, levels, pino, stdSerializers, stdTimeFunctions } from 'pino'

export type { Logger } from 'pino'

export interface LogOptions {
  /** UNDERSTUDY_LOG: trace, debug, info, warn, error, fatal or silent; anything else is info. */
  readonly level?: string | undefined
  /** Readable lines instead of JSON; by default when stderr is a terminal. */
  readonly pretty?: boolean
  /** For tests. */
  readonly to?: DestinationStream
}

/**
 * A logger of JSON lines, or of readable ones on a terminal. Errors are told by message and stack, requests by id.
 * Fields that would hold a body, a header or a token are left out whoever passes them.
 */
export function createLogger(options: LogOptions = {}): Logger {
  const level = options.level ?? process.env.UNDERSTUDY_LOG
  const pretty = options.pretty ?? process.stderr.isTTY === true
  // Synchronous: a gateway that kills itself at its deadline must not lose the lines that say why.
  const to = options.to ?? destination({ dest: 2, sync: true })
  return pino(
    {
      level: level !== undefined && (level in levels.values || level === 'silent') ? level : 'info',
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      serializers: { error: stdSerializers.err },
      formatters: { level: label => ({ level: label }) },
      redact: { paths: [...WITHHELD, ...WITHHELD.map(field => `*.${field}`)], remove: true },
    },
    pretty ? readable(to) : to,
  )
}

const WITHHELD = ['body', 'headers', 'inputs', 'outputs', 'authorization', 'cookie', 'token']

/** `12:00:01.234 warn  message key=value`, from pino's JSON line. */
function readable(to: DestinationStream): DestinationStream {
  return {
    write(line) {
      const { time, level, msg, err, error = err, ...rest } = JSON.parse(line) as Record<string, unknown>
      const fields = Object.entries(rest).map(([key, value]) => `${key}=${plain(value)}`)
      const head = [String(time).slice(11, 23), String(level).padEnd(5), msg ?? '', ...fields].join(' ').trimEnd()
      const stack = (error as { stack?: unknown } | undefined)?.stack
      to.write(typeof stack === 'string' ? `${head}\n${stack}\n` : `${head}\n`)
    },
  }
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value)
}
