import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';

const root = join(import.meta.dirname, '../..');

interface Folder {
  readonly path: string;
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

function foldersBelow(path: string): Folder[] {
  const entries = readdirSync(join(root, path), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  return [{ path, files, folders }, ...folders.flatMap((name) => foldersBelow(join(path, name)))];
}

t.test('no file of src stands beside a folder of its name, and no folder holds one file', async (t) => {
  const found = foldersBelow('src');
  const twins = found.flatMap(({ path, files, folders }) =>
    files.filter((file) => folders.includes(basename(file, '.ts'))).map((file) => `${path}/${file} belongs into the folder beside it`),
  );
  const single = found.filter(({ files, folders }) => files.length + folders.length === 1).map(({ path }) => `${path} holds one entry`);
  t.same([...twins, ...single], []);
});
