/* Whether a libclang can do what the bindings of BoringSSL need of it: be loaded, and parse a header of C. Exit status 0 when it can.
 *
 *     libclang PATH-OF-A-SHARED-OBJECT
 *
 * A name does not tell: libclang-cpp is another library, and libclang without its own headers (stddef.h) loads and is of no use. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct unsaved { const char *name; const char *text; unsigned long length; };

int main(int count, char **words) {
  static const char text[] = "#include <stddef.h>\n#include <stdint.h>\nsize_t size; uint64_t number;\n";
  if (count != 2) return 2;
  void *library = dlopen(words[1], RTLD_NOW);
  if (!library) return 1;
  void *(*create_index)(int, int) = (void *(*)(int, int))dlsym(library, "clang_createIndex");
  void *(*parse)(void *, const char *, const char *const *, int, struct unsaved *, unsigned, unsigned) =
      (void *(*)(void *, const char *, const char *const *, int, struct unsaved *, unsigned, unsigned))dlsym(library, "clang_parseTranslationUnit");
  unsigned (*diagnostics)(void *) = (unsigned (*)(void *))dlsym(library, "clang_getNumDiagnostics");
  if (!create_index || !parse || !diagnostics) return 1;
  struct unsaved file = {"question.c", text, sizeof text - 1};
  void *unit = parse(create_index(0, 0), "question.c", NULL, 0, &file, 1, 0);
  return unit && diagnostics(unit) == 0 ? 0 : 1;
}
