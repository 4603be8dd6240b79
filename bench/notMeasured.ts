// How a benchmark ends that needs something which is not installed: it has not failed, and says what is missing.
export const NOT_MEASURED = 3
