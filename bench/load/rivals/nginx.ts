// nginx's configuration as its manual advises for one worker: keep-alive in both directions, bodies in memory, no log.
// ngx_http_split_clients_module, ngx_http_mirror_module, ngx_http_upstream_module, ngx_http_proxy_module.
import { type Backends, CANARY_PERCENT } from './backends.ts'

/** By share to live or the canary; with a shadow, a copy of every request to it as well. */
export function nginxConfiguration(port: number, backends: Backends, folder: string): string {
  const { live, canary, shadow, shadowDeadline } = backends
  const deadline =
    shadowDeadline === undefined
      ? ''
      : `
      proxy_connect_timeout ${shadowDeadline}s;
      proxy_send_timeout ${shadowDeadline}s;
      proxy_read_timeout ${shadowDeadline}s;`
  const pass = `proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Request-Id $request_id;`
  return `worker_processes 1;
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections 1024; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 65s;
  keepalive_requests 100000000;
  client_body_buffer_size 1m;
  client_max_body_size 8m;
  proxy_buffer_size 16k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 128k;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  split_clients $request_id $version { ${CANARY_PERCENT}% canary; * live; }
  upstream live { server 127.0.0.1:${live}; keepalive 64; keepalive_requests 100000000; }
  upstream canary { server 127.0.0.1:${canary}; keepalive 64; keepalive_requests 100000000; }
${shadow === undefined ? '' : `  upstream shadow { server 127.0.0.1:${shadow}; keepalive 64; keepalive_requests 100000000; }\n`}  server {
    listen 127.0.0.1:${port} reuseport;
    location / {
      ${shadow === undefined ? '' : 'mirror /mirror;\n      mirror_request_body on;\n      '}${pass}
      proxy_pass http://$version;
    }
${
  shadow === undefined
    ? ''
    : `    location = /mirror {
      internal;${deadline}
      ${pass}
      proxy_pass http://shadow$request_uri;
    }
`
}  }
}
`
}
