import type { RequestHandler } from 'express';

/** 2026-11-23: since when /scripts and /cron are deprecated, in seconds (RFC 9745, 2.1). */
const DEPRECATED_SINCE = Date.UTC(2026, 10, 23) / 1_000;

/** Says that this path is an old one, and which has taken its place (RFC 9745; successor-version: RFC 5829). */
export const legacyPath: RequestHandler = (req, res, next) => {
  const slug = encodeURIComponent(String(req.params.slug));
  res.set({ Deprecation: `@${DEPRECATED_SINCE}`, Link: `</jobs/${slug}>; rel="successor-version"` });
  next();
};
