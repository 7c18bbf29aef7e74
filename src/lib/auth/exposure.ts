import { type AuthConfig, isLoopback } from './auth-config.js';

/**
 * Whether a service that listens on `host` can be called by somebody whom nobody has checked.
 * @returns what is wrong and what to do, or undefined when all is well
 */
export function exposure({ mode, isOnCloudRun }: AuthConfig, host: string): string | undefined {
  if (mode === 'none' && !isLoopback(host)) {
    return `AUTH: none lets everybody run jobs who reaches ${host}. Set AUTH=google (or cloud-run on Cloud Run), or HOST=127.0.0.1; where a network keeps all others out, ALLOW_UNAUTHENTICATED=yes. See docs/security.md`;
  }
  if (mode === 'cloud-run' && !isOnCloudRun && !isLoopback(host)) {
    return 'AUTH: cloud-run relies on Cloud Run to check callers, and this is not Cloud Run (it sets K_SERVICE). Set AUTH=google. See docs/security.md';
  }
  return undefined;
}
