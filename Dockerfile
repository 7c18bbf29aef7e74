# An exact version, so that the same source gives the same image. Raise it by hand, both times, as Node publishes fixes.
FROM node:24.21.0-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Exactly what the lock says, or a failure. Install scripts do not run: nothing here needs them.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# The embedded Postgres stays out: in a container the database is DATABASE_URL's.
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24.21.0-slim
ENV NODE_ENV=production DEPLOYMENT=production HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/data ./data
COPY --from=build /app/dist ./dist
USER node
EXPOSE 8080
# Alive, and no more: a restart would not mend a database that is down. Kubernetes and Cloud Run have probes of their own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# node itself and not npm, which would keep SIGTERM from it.
CMD ["node", "--enable-source-maps", "-C", "dist", "dist/server.js"]
