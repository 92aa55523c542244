/** The benchmark's own disk, over the native API. */
import type { Client } from './client.ts';

interface Listing {
  artifacts: { path: string }[];
}

interface Matches {
  matches: { artifact: { path: string } }[];
  truncated: boolean;
}

export class DiskClient {
  readonly #client: Client;
  readonly #base: string;

  private constructor(client: Client, base: string) {
    this.#client = client;
    this.#base = base;
  }

  static async create(client: Client): Promise<DiskClient> {
    const { id } = await client.json<{ id: string }>('/v1/disks', { method: 'POST', json: {} });
    return new DiskClient(client, `/v1/disks/${id}`);
  }

  /** The same disk over other connections. */
  through(client: Client): DiskClient {
    return new DiskClient(client, this.#base);
  }

  async put(path: string, text: string): Promise<void> {
    await this.#client.text(`${this.#base}/artifacts/content?${query({ path })}`, {
      method: 'PUT',
      body: new TextEncoder().encode(text),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    });
  }

  async copy(source: string, destination: string): Promise<void> {
    await this.#client.text(`${this.#base}/artifacts/copy`, { method: 'POST', json: { source, destination } });
  }

  async stat(path: string): Promise<{ path: string }> {
    return this.#client.json(`${this.#base}/artifacts/stat?${query({ path })}`, {});
  }

  async content(path: string): Promise<string> {
    return this.#client.text(`${this.#base}/artifacts/content?${query({ path })}`, {});
  }

  async list(path: string, limit: number): Promise<Listing> {
    return this.#client.json(`${this.#base}/artifacts?${query({ path, limit })}`, {});
  }

  async glob(pattern: string, limit: number): Promise<Listing> {
    return this.#client.json(`${this.#base}/artifacts/glob?${query({ pattern, limit })}`, {});
  }

  async grep(pattern: string, path: string): Promise<Matches> {
    return this.#client.json(`${this.#base}/artifacts/grep?${query({ pattern, path, limit: 1000 })}`, {});
  }

  async remove(): Promise<void> {
    await this.#client.text(this.#base, { method: 'DELETE' });
  }
}

const query = (values: Record<string, string | number>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
