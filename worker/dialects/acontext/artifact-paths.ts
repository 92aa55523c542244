import { z } from 'zod';
import { parseArtifactPath, parseDirectoryPath } from '../../core/artifacts/artifact-path.ts';
import type { ArtifactPlace } from '../../core/artifacts/get-artifact.ts';

/** As Acontext reads them: without the blanks around it, and absolute. */
const absolute = (text: string): string => {
  const path = text.trim();
  return path.startsWith('/') ? path : `/${path}`;
};

/** Longer ones are refused by the paths' own bound, with its sentence. */
const pathText = z
  .string()
  .min(1)
  .max(16 * 1024);

/** A file by its full path: get, update, delete, download. */
export const filePath = pathText.transform((text): ArtifactPlace => parseArtifactPath(absolute(text)));

/** A directory, with or without its last slash. */
export const directoryPath = pathText.transform((text) => {
  const path = absolute(text);
  return parseDirectoryPath(path.endsWith('/') ? path : `${path}/`);
});

/**
 * Where an upload goes. Acontext drops what stands after the last slash of `file_path`; its SDKs' documentation calls it a directory.
 * Dropped is only what repeats the file's own name, so that an upsert to '/folder' is found by a get there.
 */
export const uploadPlace = (filePathField: string, filename: string): ArtifactPlace => {
  const path = absolute(filePathField);
  const directory = path.endsWith(`/${filename}`) ? path.slice(0, -filename.length) : path;
  return parseArtifactPath(`${directory.endsWith('/') ? directory : `${directory}/`}${filename}`);
};
