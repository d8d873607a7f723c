/* Archives: create, list, extract. */
#include <sys/stat.h>

#include "check.h"

static void create(const char *tree, const char *file, const char *options, const char *expected) {
  char *report = NULL;
  CHECK_OK(bam_archive_create(tree, file, options, &report));
  CHECK(strstr(report, expected) != NULL);
  bam_string_free(report);
}

/* How many members the archive lists, and whether one of them reads like this. */
static int count_members(const char *file, const char *wanted, bool *found) {
  bam_archive *archive = NULL;
  int count = 0;
  *found = false;
  CHECK_OK(bam_archive_open(file, &archive));
  for (;;) {
    char *member = NULL;
    CHECK_OK(bam_archive_next(archive, &member));
    if (member == NULL) break;
    count++;
    *found = *found || strstr(member, wanted) != NULL;
    bam_string_free(member);
  }
  bam_archive_free(archive);
  return count;
}

int main(int arguments, char **argument) {
  CHECK(arguments == 2);
  const char *folder = argument[1], *tree = scratch(folder, "tree"), *out = scratch(folder, "out");
  CHECK(mkdir(tree, 0755) == 0 && mkdir(scratch(folder, "tree/empty"), 0700) == 0);
  CHECK(mkdir(scratch(folder, "tree/styles"), 0755) == 0 && mkdir(out, 0755) == 0);
  write_file(scratch(folder, "tree/a file"), "content\n");
  write_file(scratch(folder, "tree/styles/thumb"), "can be made again\n");
  CHECK(symlink("a file", scratch(folder, "tree/link")) == 0);

  const char *file = scratch(folder, "tree.tar.gz");
  create(tree, file, NULL, "\"files\":2");
  char *report = NULL;
  CHECK_FAILS(bam_archive_create(tree, file, NULL, &report), BAM_STATUS_USAGE, "exists already");
  create(tree, scratch(folder, "some.tar.zst"), "{\"exclude\": [\"styles\"]}", "\"files\":1");
  CHECK_FAILS(bam_archive_create(tree, scratch(folder, "x.tar"), "{\"excludes\": []}", &report), BAM_STATUS_USAGE,
              "excludes");

  bool found = false;
  CHECK(count_members(file, "\"path\":\"a file\"", &found) == 6 && found);
  CHECK(count_members(scratch(folder, "some.tar.zst"), "styles", &found) == 4 && !found);

  CHECK_OK(bam_archive_extract(file, out, "{\"owners\": false}", &report));
  CHECK(strstr(report, "\"links\":1") != NULL);
  bam_string_free(report);
  CHECK(holds(scratch(folder, "out/a file"), "content\n") && holds(scratch(folder, "out/link"), "content\n"));
  struct stat about;
  CHECK(stat(scratch(folder, "out/empty"), &about) == 0 && (about.st_mode & 0777) == 0700);

  /* Cut short: refused, and told. */
  CHECK(truncate(file, 40) == 0);
  CHECK_FAILS(bam_archive_extract(file, out, NULL, &report), BAM_STATUS_INTEGRITY, "tree.tar.gz");
  bam_archive *archive = NULL;
  CHECK_FAILS(bam_archive_open(scratch(folder, "none.tar"), &archive), BAM_STATUS_NOT_FOUND, "none.tar");
  bam_archive_free(NULL);
  return 0;
}
