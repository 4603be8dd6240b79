// Every failure Understudy names: one class and one table. What a model gets wrong is data, not an error from here.

/** Whose fault a failure is: the caller's, a model server's, ours, or the configuration's. */
export type ErrorSource = 'client' | 'upstream' | 'internal' | 'configuration'

interface ErrorEntry {
  readonly status: number
  readonly source: ErrorSource
  /** Whether the same request may be sent again without harm and with a chance of success. */
  readonly retryable: boolean
}

/** HTTP status, source and retry advice of each code. README lists every one of them (tested). */
export const ERRORS = {
  BAD_JSON: { status: 400, source: 'client', retryable: false },
  BAD_REQUEST: { status: 400, source: 'client', retryable: false },
  BAD_TENSOR: { status: 400, source: 'client', retryable: false },
  UNAUTHORIZED: { status: 401, source: 'client', retryable: false },
  FORBIDDEN: { status: 403, source: 'client', retryable: false },
  UNKNOWN_MODEL: { status: 404, source: 'client', retryable: false },
  UNKNOWN_VERSION: { status: 404, source: 'client', retryable: false },
  UNKNOWN_PATH: { status: 404, source: 'client', retryable: false },
  UNKNOWN_CANDIDATE: { status: 404, source: 'client', retryable: false },
  UNKNOWN_REQUEST: { status: 404, source: 'client', retryable: false },
  BAD_METHOD: { status: 405, source: 'client', retryable: false },
  BODY_TIMEOUT: { status: 408, source: 'client', retryable: true },
  CONFLICT: { status: 409, source: 'client', retryable: true },
  TOO_LARGE: { status: 413, source: 'client', retryable: false },
  BAD_CONTENT_TYPE: { status: 415, source: 'client', retryable: false },
  BAD_EXPECT: { status: 417, source: 'client', retryable: false },
  CLIENT_GONE: { status: 499, source: 'client', retryable: false },
  NOT_SUPPORTED: { status: 501, source: 'client', retryable: false },
  OVERLOADED: { status: 503, source: 'internal', retryable: true },
  DRAINING: { status: 503, source: 'internal', retryable: true },
  VERSION_NOT_READY: { status: 503, source: 'internal', retryable: true },
  VERSION_UNREACHABLE: { status: 503, source: 'upstream', retryable: true },
  VERSION_FAILED: { status: 500, source: 'upstream', retryable: false },
  VERSION_BROKE_OFF: { status: 502, source: 'upstream', retryable: false },
  ANSWER_TOO_LARGE: { status: 502, source: 'upstream', retryable: false },
  VERSION_DEADLINE: { status: 504, source: 'upstream', retryable: true },
  MODEL_BROKEN: { status: 503, source: 'configuration', retryable: false },
  BAD_CONFIGURATION: { status: 422, source: 'configuration', retryable: false },
  STATE_IN_USE: { status: 503, source: 'configuration', retryable: false },
  STATE_FAILED: { status: 503, source: 'internal', retryable: true },
  INTERNAL: { status: 500, source: 'internal', retryable: false },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

/** The only error class thrown on purpose. `message` is safe to show to a client: it never holds a path or a stack. */
export class UnderstudyError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UnderstudyError'
    this.code = code
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  get source(): ErrorSource {
    return ERRORS[this.code].source
  }
}

/** `error` as an UnderstudyError; anything unforeseen becomes INTERNAL with its cause kept and its text withheld. */
export function asUnderstudyError(error: unknown): UnderstudyError {
  if (error instanceof UnderstudyError) return error
  return new UnderstudyError('INTERNAL', 'internal error', { cause: error })
}

/** The message of anything thrown, for logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
