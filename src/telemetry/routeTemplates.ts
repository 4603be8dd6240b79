// The path template that a prediction is told under, in metrics and spans: of few values, whatever clients write.
import type { Protocol } from '../config/protocols.ts'

/**
 * @param paths that the route has of its own, from the configuration
 */
export function routeTemplate(protocol: Protocol, paths: readonly string[]): string {
  if (protocol === 'v2') return '/v2/models/{model_name}/infer'
  if (protocol === 'v1') return '/v1/models/{model_name}:predict'
  return paths.length === 1 ? paths[0]! : protocol === 'mlflow' ? '/invocations' : '{path}'
}
