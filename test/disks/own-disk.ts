import type { TestTenant } from '../installation.ts';

export interface OwnDisk {
  id: string;
  /** Below its artifacts: '/content?path=…'. */
  api: TestTenant['api'];
  json: TestTenant['json'];
  /** `path` is whole: '/dir/name'. */
  put(path: string, content: string | Uint8Array<ArrayBuffer>): Promise<void>;
  remove(path: string): Promise<void>;
}

/** A new disk of the tenant's. */
export const createOwnDisk = async (tenant: TestTenant): Promise<OwnDisk> => {
  const { id } = await tenant.json<{ id: string }>('/v1/disks', { method: 'POST', json: {}, status: 201 });
  const base = `/v1/disks/${id}/artifacts`;
  const contentOf = (path: string) => `${base}/content?path=${encodeURIComponent(path)}`;
  const expectOk = async (response: Response): Promise<void> => {
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text}`);
  };
  return {
    id,
    api: (path, init) => tenant.api(`${base}${path}`, init),
    json: (path, init) => tenant.json(`${base}${path}`, init),
    // So that the type is told from name and content.
    put: async (path, content) => {
      const body = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      await expectOk(await tenant.api(contentOf(path), { method: 'PUT', body }));
    },
    remove: async (path) =>
      expectOk(await tenant.api(`${base}?path=${encodeURIComponent(path)}`, { method: 'DELETE' })),
  };
};
