/**
 * Refuses to publish an addon in which panics can be planted (`core/src/base/panics.rs`): one built
 * with debug assertions, as profile `ci` has them. npm runs it before `npm publish`, not before
 * `npm pack`, which tests use with whatever addon there is.
 */

import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const addons = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.node'));
const planted = addons.filter((name) => isPlantable(join(import.meta.dirname, name)));
if (planted.length > 0 || addons.length === 0) {
  console.error(`native: ${planted.join(', ') || 'no addon'}: build it for release (node native/build.mjs --profile release)`);
  process.exitCode = 1;
}

function isPlantable(path) {
  try {
    require(path).plantPanic('turn');
    return true;
  } catch {
    return false;
  }
}
