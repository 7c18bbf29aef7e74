import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { envConfig } from '@commons/backend/lib/env-config.js';
import { FetchError, fetchJson, type FetchJsonOptions } from '@commons/backend/lib/fetch-json.js';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

/** What both sides keep of a clinician, and what is compared. */
export interface ClinicianFacts {
  readonly displayName: string;
  readonly email: string;
}

const text = z.string().min(1).max(500);
const DirectoryClinician = z.object({ id: text, npi: z.string().regex(/^\d{10}$/), displayName: text, email: text, etag: text });

/** A clinician as the directory has one; the etag names this version. */
export type DirectoryClinician = z.infer<typeof DirectoryClinician>;

/** What is no clinician is left to the caller item by item: one bad entry must not hide the others. */
const Page = z.object({ clinicians: z.array(z.unknown()), next: z.string().nullish() });

export interface DirectoryListing {
  readonly clinicians: readonly DirectoryClinician[];
  /** Entries that could not be read. */
  readonly unreadable: number;
}

/** A directory in which the clinician has changed since it was read, so that nothing was written (412), or is there already (409). */
export class DirectoryConflict extends Error {
  override readonly name = 'DirectoryConflict';
}

export interface ClinicianDirectory {
  /** A file is only read: every change of it is refused. */
  readonly isReadOnly: boolean;
  /** All of it, or an error: half a directory would look as if the other half were gone. */
  list(): Promise<DirectoryListing>;
  /** @param key names the clinician on our side: asked twice with the same one, the directory makes one clinician @throws {DirectoryConflict} */
  create(clinician: ClinicianFacts & { npi: string }, key: string): Promise<DirectoryClinician>;
  /** @param known the version that the change is made to @throws {DirectoryConflict} when there is a newer one */
  update(known: DirectoryClinician, facts: ClinicianFacts): Promise<DirectoryClinician>;
}

/** The directory at CLINICIAN_DIRECTORY_URL. */
export function openClinicianDirectory(): ClinicianDirectory {
  const { clinicianDirectoryUrl: address, clinicianDirectoryToken: token } = envConfig();
  return address.startsWith('file:') ? new DirectoryFile(address.slice('file:'.length)) : new DirectoryApi(address, token);
}

/**
 * The API: GET /clinicians gives `{ clinicians, next }`, where `next` is the address of the next page; POST /clinicians and
 * PUT /clinicians/<id> take a clinician and give what it became. Versions travel in the body as `etag`, and back as If-Match
 * (RFC 9110, 13.1.1).
 */
class DirectoryApi implements ClinicianDirectory {
  readonly isReadOnly = false;
  readonly #address: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(address: string, token: string | undefined) {
    this.#address = address.replace(/\/+$/, '');
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }

  async list(): Promise<DirectoryListing> {
    const start = new URL(`${this.#address}/clinicians`);
    const pages: unknown[] = [];
    const seen = new Set<string>();
    for (let next: URL | undefined = start; next; ) {
      // The token goes nowhere else, and no directory may lead us in a circle.
      if (next.origin !== start.origin) throw new StatusError(502, 'The clinician directory names a next page on another host; it was not asked for');
      if (seen.has(next.href)) throw new StatusError(502, 'The clinician directory names a page as the next one that came before');
      seen.add(next.href);
      const page: z.infer<typeof Page> = await this.#send(next, { schema: Page });
      pages.push(...page.clinicians);
      next = page.next ? new URL(page.next, next) : undefined;
    }
    return readEntries(pages);
  }

  create({ npi, displayName, email }: ClinicianFacts & { npi: string }, key: string): Promise<DirectoryClinician> {
    const body = { npi, displayName, email };
    return this.#send(`${this.#address}/clinicians`, { method: 'POST', body, headers: { 'Idempotency-Key': key }, schema: DirectoryClinician });
  }

  update({ id, npi, etag }: DirectoryClinician, { displayName, email }: ClinicianFacts): Promise<DirectoryClinician> {
    const body = { npi, displayName, email };
    return this.#send(`${this.#address}/clinicians/${encodeURIComponent(id)}`, { method: 'PUT', body, headers: { 'If-Match': etag }, schema: DirectoryClinician });
  }

  async #send<T>(url: string | URL, options: FetchJsonOptions<T>): Promise<T> {
    try {
      return await fetchJson<T>(url, { ...options, headers: { ...this.#headers, ...options.headers } });
    } catch (error) {
      if (!(error instanceof FetchError)) throw error;
      if (error.status === 412 || error.status === 409) throw new DirectoryConflict(`The directory has another version: ${error.message}`, { cause: error });
      throw new StatusError(502, `The clinician directory failed: ${error.message}`, { cause: error });
    }
  }
}

/** A snapshot of a directory, as JSON: `{ "clinicians": [...] }`. */
class DirectoryFile implements ClinicianDirectory {
  readonly isReadOnly = true;
  readonly #path: string;

  constructor(file: string) {
    this.#path = file;
  }

  async list(): Promise<DirectoryListing> {
    try {
      return readEntries(Page.parse(JSON.parse(await readFile(path.resolve(packageRoot(), this.#path), 'utf8'))).clinicians);
    } catch (cause) {
      throw new StatusError(500, `CLINICIAN_DIRECTORY_URL names the file ${this.#path}, which cannot be read as {"clinicians": [...]}`, { cause });
    }
  }

  create = refuse;
  update = refuse;
}

async function refuse(): Promise<never> {
  throw new StatusError(500, 'The clinician directory is a file, which is only read');
}

function readEntries(entries: readonly unknown[]): DirectoryListing {
  const clinicians = entries.flatMap((entry) => DirectoryClinician.safeParse(entry).data ?? []);
  return { clinicians, unreadable: entries.length - clinicians.length };
}
