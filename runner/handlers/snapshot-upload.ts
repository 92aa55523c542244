import type { NodeHandler } from './handler.ts';

export const uploadSnapshot: NodeHandler<'snapshot.upload'> = async ({ snapshots }, job, conversation) => {
  const value = await snapshots.upload(job.snapshotId, job.parts);
  conversation.send({ t: 'result', value });
  conversation.finish();
};

export const dropSnapshot: NodeHandler<'snapshot.drop'> = async ({ snapshots }, job, conversation) => {
  await snapshots.drop(job.snapshotId);
  conversation.send({ t: 'result', value: {} });
  conversation.finish();
};
