import type { ServerResponse } from 'node:http';
import { type LoopbackServer, type Received, startLoopbackServer } from './loopback-server.js';

export interface StoredClinician {
  id: string;
  npi: string;
  displayName: string;
  email: string;
  /** Counts its changes; the etag is made of it. */
  version: number;
}

const PAGE_SIZE = 2;

/** A real HTTP server that keeps clinicians as sync-clinician-mappings expects of a directory, in memory. */
export interface ClinicianDirectoryServer extends LoopbackServer {
  readonly clinicians: Map<string, StoredClinician>;
  add(clinician: Omit<StoredClinician, 'version'>): StoredClinician;
  /** What was asked that may change something, such as 'PUT /clinicians/a'. */
  writes(): string[];
  /** Sees each request before it is answered; returns true when it has answered it itself. */
  interfere: (request: Received, res: ServerResponse) => boolean | void;
}

export async function startClinicianDirectory(): Promise<ClinicianDirectoryServer> {
  const clinicians = new Map<string, StoredClinician>();
  const made = new Map<string, string>();
  const send = (res: ServerResponse, status: number, body: unknown) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  const shown = ({ version, ...clinician }: StoredClinician) => ({ ...clinician, etag: `"${version}"` });

  function list({ url }: Received, res: ServerResponse): void {
    const from = Number(url.searchParams.get('from') ?? 0);
    const all = [...clinicians.values()];
    const next = from + PAGE_SIZE < all.length ? `${url.pathname}?from=${from + PAGE_SIZE}` : null;
    send(res, 200, { clinicians: all.slice(from, from + PAGE_SIZE).map(shown), next });
  }

  function create({ headers, body }: Received, res: ServerResponse): void {
    const key = String(headers['idempotency-key']);
    const facts = JSON.parse(Buffer.from(body, 'latin1').toString()) as StoredClinician;
    const known = clinicians.get(made.get(key) ?? '');
    if (!known && [...clinicians.values()].some(({ npi }) => npi === facts.npi)) return void send(res, 409, {});
    const clinician = known ?? directory.add({ ...facts, id: `made-${made.size + 1}` });
    made.set(key, clinician.id);
    send(res, known ? 200 : 201, shown(clinician));
  }

  function update({ url, headers, body }: Received, res: ServerResponse): void {
    const clinician = clinicians.get(decodeURIComponent(url.pathname.split('/').at(-1)!));
    if (!clinician) return void send(res, 404, {});
    if (headers['if-match'] !== `"${clinician.version}"`) return void send(res, 412, {});
    Object.assign(clinician, JSON.parse(Buffer.from(body, 'latin1').toString()), { version: clinician.version + 1 });
    send(res, 200, shown(clinician));
  }

  const server = await startLoopbackServer((request, res) => {
    if (directory.interfere(request, res)) return;
    ({ GET: list, POST: create, PUT: update })[request.method as 'GET' | 'POST' | 'PUT'](request, res);
  });
  const directory: ClinicianDirectoryServer = {
    ...server,
    clinicians,
    add(clinician) {
      const stored = { ...clinician, version: 1 };
      clinicians.set(stored.id, stored);
      return stored;
    },
    writes: () => server.received.filter(({ method }) => method !== 'GET').map(({ method, url }) => `${method} ${url.pathname}`),
    interfere: () => undefined,
  };
  return directory;
}
