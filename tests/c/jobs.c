/* Jobs from start to end: a backup, its listing, a restore; cancelling, dropping, failing. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "check.h"

static const char *CONFIG;

static bam_job *start(const char *request) {
  bam_job *job = NULL;
  CHECK_OK(bam_job_start(format("{\"config\": %s, \"request\": %s}", CONFIG, request), &job));
  return job;
}

/* Polls until the end and gives the result. */
static char *finish(bam_job *job) {
  bam_progress progress = {0};
  do {
    CHECK_OK(bam_job_poll(job, 1000, &progress));
  } while (!progress.finished);
  CHECK(progress.phase == BAM_PHASE_DONE);
  char *result = NULL;
  CHECK_OK(bam_job_finish(job, &result));
  return result;
}

static void backup_and_restore(const char *folder) {
  bam_job *job = start("{\"job\": \"backup\", \"what\": \"files\"}");
  char *result = finish(job), *again = NULL, *notes = NULL;
  CHECK(strstr(result, "\"source\":\"files\"") != NULL && strstr(result, "\"ok\":true") != NULL);
  bam_string_free(result);
  CHECK_FAILS(bam_job_finish(job, &again), BAM_STATUS_USAGE, "taken already");
  bam_progress progress;
  CHECK_FAILS(bam_job_poll(job, 0, &progress), BAM_STATUS_USAGE, "taken already");
  CHECK_OK(bam_job_notes(job, &notes));
  CHECK(strstr(notes, "backing up files") != NULL);
  bam_string_free(notes);
  bam_job_free(job);

  job = start("{\"job\": \"backups\"}");
  result = finish(job);
  CHECK(strstr(result, ".tar.gz") != NULL);
  bam_string_free(result);
  bam_job_free(job);

  write_file(scratch(folder, "site/files/a"), "changed\n");
  job = start("{\"job\": \"restore\", \"id\": \"latest\"}");
  bam_string_free(finish(job));
  bam_job_free(job);
  CHECK(holds(scratch(folder, "site/files/a"), "as it was\n"));
}

static void *cancel(void *job) {
  CHECK_OK(bam_job_cancel(job));
  return NULL;
}

/* Stopped from another thread, or given up by its owner. */
static void cancelled_and_dropped(const char *folder) {
  bam_job *job = start("{\"job\": \"backup\", \"what\": \"files\"}");
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel, job) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  char *result = NULL;
  bam_status status = bam_job_finish(job, &result);
  /* It may have been done already; else it says that it was cancelled. */
  CHECK(status == BAM_STATUS_OK || status == BAM_STATUS_CANCELLED);
  bam_string_free(result);
  bam_job_free(job);

  /* Never polled, never finished: dropping it cancels it. */
  bam_job_free(start("{\"job\": \"backup\", \"what\": \"files\"}"));

  /* Whatever became of them, no half of a backup is left. */
  CHECK(system(format("test -z \"$(find '%s/%s' -name '*.part')\"", folder, "backups")) == 0);
}

static atomic_int polls;

/* Polls in a loop until the result is taken. */
static void *watch(void *job) {
  bam_progress progress;
  bam_status status;
  while ((status = bam_job_poll(job, 1000, &progress)) == BAM_STATUS_OK) polls++;
  CHECK(status == BAM_STATUS_USAGE);
  return NULL;
}

static void *end(void *job) {
  char *result = NULL;
  CHECK_OK(bam_job_finish(job, &result));
  bam_string_free(result);
  return NULL;
}

/* The result can be taken while others poll in a loop. The job asks its site first, which answers when we let it. */
static void finished_beside_polls(const char *folder) {
  const char *gate = scratch(folder, "gate"), *before = CONFIG;
  CHECK(mkfifo(gate, 0600) == 0);
  CONFIG = format("{\"site\": {\"maintenance_command\": [\"sh\", \"-c\", \": < '%s'\"], %s", gate, CONFIG + strlen("{\"site\": {"));
  bam_job *job = start("{\"job\": \"status\"}");
  pthread_t watchers[8], finisher;
  /* Ends the program where one starves another. */
  alarm(30);
  for (size_t i = 0; i < 8; i++) CHECK(pthread_create(&watchers[i], NULL, watch, job) == 0);
  bam_progress progress;
  while (polls < 8) CHECK_OK(bam_job_poll(job, 10, &progress));
  CHECK(pthread_create(&finisher, NULL, end, job) == 0);
  for (size_t i = 0; i < 8; i++) CHECK(pthread_join(watchers[i], NULL) == 0);
  alarm(0);
  int open_gate = open(gate, O_RDWR);
  CHECK(open_gate >= 0 && pthread_join(finisher, NULL) == 0);
  CHECK(close(open_gate) == 0);
  bam_job_free(job);
  CONFIG = before;
}

static void failing(void) {
  bam_job *job = start("{\"job\": \"backup\", \"what\": \"nothing\"}");
  char *result = NULL;
  CHECK_FAILS(bam_job_finish(job, &result), BAM_STATUS_USAGE, "nothing");
  bam_job_free(job);
  CHECK_FAILS(bam_job_start("{}", &job), BAM_STATUS_USAGE, "config");
  CHECK_FAILS(bam_job_start("{\"config\": {}, \"request\": {\"job\": \"fly\"}}", &job), BAM_STATUS_USAGE, "fly");
  CHECK_FAILS(bam_job_start("{\"config\": {\"sites\": {}}, \"request\": {\"job\": \"backups\"}}", &job),
              BAM_STATUS_CONFIG, "sites");
  CHECK_FAILS(bam_job_cancel(NULL), BAM_STATUS_NULL_POINTER, "`job`");
}

static volatile sig_atomic_t received;
static pthread_t main_thread;
static volatile sig_atomic_t elsewhere;

static void handle(int number) {
  (void)number;
  received++;
  elsewhere += pthread_equal(pthread_self(), main_thread) ? 0 : 1;
}

/* Signals of the host run on the host's thread, even while the engine's threads are there to take them. */
static void signals(void) {
  main_thread = pthread_self();
  struct sigaction action = {.sa_handler = handle};
  CHECK(sigaction(SIGINT, &action, NULL) == 0);
  bam_job *job = start("{\"job\": \"backup\", \"what\": \"files\"}");
  bam_progress progress;
  for (int i = 0; i < 50; i++) {
    CHECK(kill(getpid(), SIGINT) == 0);
    CHECK_OK(bam_job_poll(job, 1, &progress));
  }
  bam_job_free(job);
  CHECK(received > 0 && elsewhere == 0);
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  const char *folder = arguments[1];
  CHECK(mkdir(scratch(folder, "site"), 0755) == 0 && mkdir(scratch(folder, "site/files"), 0755) == 0);
  write_file(scratch(folder, "site/files/a"), "as it was\n");
  CONFIG = format(
      "{\"site\": {\"root\": \"%s/site\"},"
      " \"sources\": {\"files\": {\"type\": \"files\", \"path\": \"files\"}},"
      " \"destinations\": {\"manual\": {\"type\": \"directory\", \"path\": \"%s/backups\"}}",
      folder, folder);
  CONFIG = format("%s, \"state_dir\": \"%s/state\"}", CONFIG, folder);
  backup_and_restore(folder);
  cancelled_and_dropped(folder);
  finished_beside_polls(folder);
  failing();
  signals();
  return 0;
}
