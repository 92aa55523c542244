import { RunnerError } from '../protocol/errors.ts';
import { sudoLabel, type ImageFacts } from './container-spec.ts';
import { engineStatus, type DockerClient } from './docker-client.ts';

const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Throws template_unavailable where the node lacks the image, image_unsupported for one of another architecture. */
export async function readImageFacts(docker: DockerClient, image: string): Promise<ImageFacts> {
  const found = await docker
    .getImage(image)
    .inspect()
    .catch((cause: unknown) => {
      if (engineStatus(cause) === 404) {
        throw new RunnerError('template_unavailable', `The image ${image} is not on this node.`, { cause });
      }
      throw new RunnerError('engine_failed', 'The container engine did not answer.', { cause });
    });
  if (found.Architecture !== architectures[process.arch]) {
    throw new RunnerError(
      'image_unsupported',
      `The image ${image} is built for ${found.Architecture}, not for this node.`,
    );
  }
  return {
    id: found.Id,
    env: parseEnvironment(found.Config.Env ?? []),
    offersSudo: found.Config.Labels?.[sudoLabel] === 'true',
  };
}

/** An entry without a value takes a variable away: images made from our own containers hold such. */
function parseEnvironment(entries: string[]): Record<string, string> {
  const pairs = entries
    .filter((entry) => entry.indexOf('=') > 0)
    .map((entry): [string, string] => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]);
  return Object.fromEntries(pairs);
}
