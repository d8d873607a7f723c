/* Versions, errors, null pointers, strings. */
#include <pthread.h>

#include "check.h"

static void *other_thread(void *unused) {
  (void)unused;
  bam_error error;
  CHECK_OK(bam_last_error(&error));
  CHECK(error.status == BAM_STATUS_OK);
  char *json;
  CHECK_OK(bam_last_error_json(&json));
  CHECK(json == NULL);
  return NULL;
}

int main(void) {
  CHECK(bam_abi_version() == 1);
  CHECK(strchr(bam_version(), '.') != NULL);

  bam_error error;
  CHECK_OK(bam_last_error(&error));
  CHECK(error.status == BAM_STATUS_OK && error.exit_code == 0 && error.message[0] == '\0');

  CHECK(bam_last_error(NULL) == BAM_STATUS_NULL_POINTER);
  CHECK_OK(bam_last_error(&error));
  CHECK(error.status == BAM_STATUS_NULL_POINTER && error.exit_code == 2);
  CHECK(strcmp(error.code, "null_pointer") == 0 && strstr(error.message, "`error`") != NULL);

  char *json;
  CHECK_OK(bam_last_error_json(&json));
  CHECK(strstr(json, "\"code\":\"null_pointer\"") != NULL && strstr(json, "\"hint\":null") != NULL);
  bam_string_free(json);

  /* An error stays in the thread in which it happened. */
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);

  bam_job *job = NULL;
  CHECK_FAILS(bam_job_start("\xff", &job), BAM_STATUS_NOT_UTF8, "`request_json`");
  CHECK(job == NULL);

  bam_string_free(NULL);
  bam_job_free(NULL);
  return 0;
}
