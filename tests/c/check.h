/* What the C tests share: a check that says where it failed, and calls that must succeed. */
#ifndef BAM_CHECK_H
#define BAM_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bam.h"

#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) {                                                           \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);   \
      exit(1);                                                                    \
    }                                                                             \
  } while (0)

/* The call succeeds; else its error is printed. */
#define CHECK_OK(call)                                                            \
  do {                                                                            \
    bam_status status_ = (call);                                                  \
    if (status_ != BAM_STATUS_OK) {                                               \
      bam_error error_;                                                           \
      bam_last_error(&error_);                                                    \
      fprintf(stderr, "%s:%d: %s: status %d, %s: %s (%s)\n", __FILE__, __LINE__,  \
              #call, (int)status_, error_.code, error_.message, error_.hint);     \
      exit(1);                                                                    \
    }                                                                             \
  } while (0)

/* The call fails with this status, and bam_last_error says so, with these words in its message. */
#define CHECK_FAILS(call, expected, words)                                        \
  do {                                                                            \
    bam_status status_ = (call);                                                  \
    bam_error error_;                                                             \
    CHECK(bam_last_error(&error_) == BAM_STATUS_OK);                              \
    if (status_ != (expected) || error_.status != (expected) ||                   \
        strstr(error_.message, (words)) == NULL) {                                \
      fprintf(stderr, "%s:%d: %s: status %d, wanted %d; %s: %s (%s)\n", __FILE__, \
              __LINE__, #call, (int)status_, (int)(expected), error_.code,        \
              error_.message, error_.hint);                                       \
      exit(1);                                                                    \
    }                                                                             \
  } while (0)

/* Formats into a place that lives as long as the program. */
static inline const char *format(const char *pattern, const char *first, const char *second) {
  static char places[64][4096];
  static size_t used;
  CHECK(used < sizeof places / sizeof *places);
  CHECK((size_t)snprintf(places[used], sizeof *places, pattern, first, second) < sizeof *places);
  return places[used++];
}

/* A path inside the scratch folder that the runner made for this program. */
static inline const char *scratch(const char *folder, const char *name) {
  return format("%s/%s", folder, name);
}

static inline void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL);
  CHECK(fwrite(text, 1, strlen(text), file) == strlen(text));
  CHECK(fclose(file) == 0);
}

/* Whether the file holds exactly this text. */
static inline bool holds(const char *path, const char *text) {
  char buffer[4096];
  FILE *file = fopen(path, "rb");
  if (file == NULL) return false;
  size_t length = fread(buffer, 1, sizeof buffer, file);
  fclose(file);
  return length == strlen(text) && memcmp(buffer, text, length) == 0;
}

#endif
