# Understudy in two stages: production dependencies are resolved in the first, nothing else reaches the second.
FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The development dependencies, the pinned `node` among them, stay out; onnxruntime-node's install step is switched off.
RUN npm ci --omit=dev
# Only the CPU library of this platform: the package carries those of every system.
RUN cd node_modules/onnxruntime-node/bin/napi-v* \
  && find . -mindepth 1 -maxdepth 1 ! -name linux -exec rm -rf {} + \
  && case "$(uname -m)" in x86_64) keep=x64 ;; *) keep=arm64 ;; esac \
  && find linux -mindepth 1 -maxdepth 1 ! -name "$keep" -exec rm -rf {} +

FROM node:26-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
COPY models ./models
COPY routes.yaml ./routes.yaml
# State is the only folder that is written (and routes.yaml's, where promote may edit it): mount volumes there, and the
# rest of the file system may be read-only.
RUN mkdir /state && chown node:node /state
VOLUME ["/state"]
USER node
EXPOSE 8080
# Alive, not ready: one route whose model is broken is no reason to restart what serves the others.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/livez').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# The admin API stays on the container's loopback: off it, it needs a token (routes.yaml, admin.token).
CMD ["node", "src/main.ts", "serve", "--state", "/state", "--listen", "0.0.0.0:8080"]
