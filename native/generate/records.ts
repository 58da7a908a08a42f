/**
 * Writes what both languages and docs/design/records.md have of the tables of records and of
 * reasons (`./table.ts`).
 *
 *     npm run records             writes what is stale
 *     npm run check:records       says what is stale, and fails
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pageWith } from './page.ts';
import { layoutRust, reasonsRust, wordsRust } from './rust.ts';
import { readReasons, readRecords } from './table.ts';
import { layoutTypescript, reasonsTypescript, wordsTypescript } from './typescript.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = 'docs/design/records.md';

/** Text of every file that is made of the tables. */
export function madeFiles(): Map<string, string> {
  const records = readRecords();
  const reasons = readReasons();
  return new Map([
    ['native/core/src/record/layout.rs', layoutRust(records)],
    ['native/core/src/record/words.rs', wordsRust(records)],
    ['native/core/src/base/reason/table.rs', reasonsRust(reasons)],
    ['src/record/layout.ts', layoutTypescript(records)],
    ['src/record/words.ts', wordsTypescript(records)],
    ['src/base/reasons.ts', reasonsTypescript(reasons)],
    [PAGE, pageWith(present(PAGE), records, reasons)],
  ]);
}

function present(file: string): string {
  try {
    return readFileSync(join(ROOT, file), 'utf8');
  } catch {
    return '';
  }
}

if (import.meta.main) {
  const isChecking = process.argv.includes('--check');
  for (const [file, text] of madeFiles()) {
    if (present(file) === text) continue;
    if (isChecking) {
      console.error(`${file} is not what the tables say: npm run records`);
      process.exitCode = 1;
    } else {
      writeFileSync(join(ROOT, file), text);
      console.log(file);
    }
  }
}
