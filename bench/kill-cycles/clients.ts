import http from 'node:http';

/** What a client knows of a run it asked for. */
export interface Answer {
  readonly status: number;
  readonly runId: string | undefined;
}

export interface RunRequest {
  /** Tells this request apart from every other; it is in the run's body, and so in its row. */
  readonly key: string;
  /** ms that the job works. */
  readonly ms: number;
  readonly fails: boolean;
  /** The file in which the job writes down what it did. */
  readonly trace: string;
}

/** Asks for runs until told to stop or the server is gone, each client one after the other. */
export async function runClients(url: string, clients: readonly (() => RunRequest)[], answers: Map<string, Answer>, signal: AbortSignal): Promise<void> {
  const agent = new http.Agent({ keepAlive: true });
  await Promise.all(
    clients.map(async (next) => {
      while (!signal.aborted) {
        const request = next();
        const answer = await post(`${url}/jobs/traced`, request, agent);
        if (answer === undefined) return;
        answers.set(request.key, answer);
      }
    }),
  );
  agent.destroy();
}

/** Resolves with the answer as soon as its head is there, or with undefined when the connection broke before. */
function post(url: string, body: RunRequest, agent: http.Agent): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const request = http.request(url, { method: 'POST', agent, headers: { 'Content-Type': 'application/json' } }, (response) => {
      const runId = response.headers['job-run-id'];
      const answer = { status: response.statusCode!, runId: typeof runId === 'string' ? runId : undefined };
      // A head that came is an answer, even if the server is killed before its body has.
      response.on('error', () => resolve(answer)).on('close', () => resolve(answer)).resume();
    });
    request.on('error', () => resolve(undefined));
    request.end(JSON.stringify(body));
  });
}
