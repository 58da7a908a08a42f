/**
 * The native addon for tests that can do without it: undefined and a reason to skip where it was
 * not built.
 */

import type { BindingAddon } from '../../src/native/binding.ts';
import { loadAddon } from '../../src/native/load.ts';

export const { addon, skip } = find();

function find(): { addon: BindingAddon | undefined; skip: false | string } {
  try {
    return { addon: loadAddon(), skip: false };
  } catch {
    return { addon: undefined, skip: 'the native addon is not built' };
  }
}
