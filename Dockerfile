FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm install --no-audit --no-fund
COPY . .
# The embedded Postgres stays out: in a container the database is DATABASE_URL's.
RUN npm run build && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production DEPLOYMENT=production HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/data ./data
COPY --from=build /app/dist ./dist
USER node
EXPOSE 8080
# node itself and not npm, which would keep SIGTERM from it.
CMD ["node", "--enable-source-maps", "-C", "dist", "dist/server.js"]
