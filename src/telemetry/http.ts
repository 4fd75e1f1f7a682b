// The operator's own HTTP port: /metrics, /healthz (the process works) and /readyz (its view of the cluster is fresh).
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';

export type HttpOptions = {
  readonly port: number;
  readonly metrics: () => Promise<string>;
  /** Undefined when well, else the reason. */
  readonly health: () => string | undefined;
  readonly readiness: () => string | undefined;
};

export class TelemetryServer {
  readonly #server: Server;
  readonly #port: number;

  constructor({ port, metrics, health, readiness }: HttpOptions) {
    this.#port = port;
    this.#server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0];
      const answer = (status: number, text: string): void => {
        response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
      };
      const probe = (trouble: string | undefined): void => {
        answer(trouble === undefined ? 200 : 503, `${trouble ?? 'ok'}\n`);
      };
      if (path === '/healthz') probe(health());
      else if (path === '/readyz') probe(readiness());
      else if (path === '/metrics')
        metrics().then(
          (text) => {
            answer(200, text);
          },
          (error: unknown) => {
            answer(500, `${String(error)}\n`);
          },
        );
      else answer(404, 'try /metrics, /healthz or /readyz\n');
    });
  }

  async start(): Promise<void> {
    this.#server.listen(this.#port);
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
  }
}
