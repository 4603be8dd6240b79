// HAProxy's configuration for one thread: weights on two servers, kept-alive connections reused always, no log. It has no
// mirror of its own, so it is measured without one.
import { type Backends, CANARY_PERCENT } from './backends.ts'

export function haproxyConfiguration(port: number, { live, canary }: Backends): string {
  return `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  option http-keep-alive
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 65s
  timeout server 65s
  timeout http-keep-alive 65s
  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
frontend data
  bind 127.0.0.1:${port}
  default_backend versions
backend versions
  balance roundrobin
  server live 127.0.0.1:${live} weight ${100 - CANARY_PERCENT}
  server canary 127.0.0.1:${canary} weight ${CANARY_PERCENT}
`
}
