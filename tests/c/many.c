/* Many jobs, by many threads: started, polled, cancelled, finished and freed in any order, also by others than who started
 * them. BAM_TEST_MANY=100000 says how many; from 10 000 on memory has to stay what it is. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "check.h"

enum { THREADS = 8, SLOTS = 24 };

/* A place for a job. Whoever uses the job holds the lock to read; whoever starts or frees it, to write. */
static struct slot {
  pthread_rwlock_t lock;
  bam_job *job;
} slots[SLOTS];

static const char *REQUESTS[6];
static atomic_long to_start, finished, cancelled, failed, taken;

static long resident(void) {
  long whole = 0, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &whole, &pages) == 2);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static void finish(const bam_job *job) {
  char *result = NULL;
  bam_status status = bam_job_finish(job, &result);
  bam_error error;
  switch (status) {
    case BAM_STATUS_OK:
      finished++;
      CHECK(result != NULL && result[0] == '{');
      bam_string_free(result);
      return;
    case BAM_STATUS_CANCELLED: cancelled++; break;
    case BAM_STATUS_USAGE: case BAM_STATUS_LOCKED: failed++; break;
    default:
      CHECK(bam_last_error(&error) == BAM_STATUS_OK);
      fprintf(stderr, "status %d: %s\n", (int)status, error.message);
      exit(1);
  }
  CHECK(result == NULL);
}

/* One of the things that may be done with a job, by whoever holds the handle. */
static void use(const bam_job *job, unsigned what) {
  bam_progress progress;
  char *notes = NULL;
  bam_status status;
  switch (what % 8) {
    case 0: CHECK_OK(bam_job_cancel(job)); break;
    case 1: case 2:
      CHECK_OK(bam_job_notes(job, &notes));
      bam_string_free(notes);
      break;
    case 3: case 4: case 5: finish(job); break;
    default:
      status = bam_job_poll(job, what % 3, &progress);
      CHECK(status == BAM_STATUS_OK || status == BAM_STATUS_USAGE);
      taken += status == BAM_STATUS_USAGE;
  }
}

static void *work(void *seed) {
  unsigned chance = (unsigned)(size_t)seed;
  for (;;) {
    struct slot *slot = &slots[(unsigned)rand_r(&chance) % SLOTS];
    unsigned what = (unsigned)rand_r(&chance);
    if (what % 5 > 1) {
      CHECK(pthread_rwlock_rdlock(&slot->lock) == 0);
      if (slot->job != NULL) use(slot->job, what / 5);
    } else {
      CHECK(pthread_rwlock_wrlock(&slot->lock) == 0);
      /* Whatever became of it: freed is freed. */
      bam_job_free(slot->job);
      slot->job = NULL;
      if (atomic_fetch_sub(&to_start, 1) <= 0) {
        CHECK(pthread_rwlock_unlock(&slot->lock) == 0);
        return NULL;
      }
      CHECK_OK(bam_job_start(REQUESTS[what / 5 % 6], &slot->job));
    }
    CHECK(pthread_rwlock_unlock(&slot->lock) == 0);
  }
}

static void round_of(long jobs) {
  pthread_t threads[THREADS];
  to_start = jobs;
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
  for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (size_t i = 0; i < SLOTS; i++) {
    bam_job_free(slots[i].job);
    slots[i].job = NULL;
  }
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  const char *folder = arguments[1], *wanted = getenv("BAM_TEST_MANY");
  long jobs = wanted != NULL ? atol(wanted) : 150;
  CHECK(mkdir(scratch(folder, "site"), 0755) == 0 && mkdir(scratch(folder, "site/files"), 0755) == 0);
  FILE *file = fopen(scratch(folder, "site/files/a"), "w");
  CHECK(file != NULL && fputs("a file\n", file) > 0 && fclose(file) == 0);
  const char *config = format(
      "{\"site\": {\"root\": \"%s/site\"},"
      " \"sources\": {\"files\": {\"type\": \"files\", \"path\": \"files\"}},"
      " \"destinations\": {\"manual\": {\"type\": \"directory\", \"path\": \"%s/backups\"}}",
      folder, folder);
  config = format("%s, \"state_dir\": \"%s/state\"}", config, folder);
  const char *kinds[6] = {"{\"job\": \"backups\"}", "{\"job\": \"backup\", \"what\": \"nothing\"}", "{\"job\": \"status\"}",
                          "{\"job\": \"backups\"}", "{\"job\": \"verify\"}", "{\"job\": \"recover\"}"};
  for (size_t i = 0; i < 6; i++) REQUESTS[i] = format("{\"config\": %s, \"request\": %s}", config, kinds[i]);
  for (size_t i = 0; i < SLOTS; i++) CHECK(pthread_rwlock_init(&slots[i].lock, NULL) == 0);
  round_of(jobs / 10);
  long before = resident();
  round_of(jobs - jobs / 10);
  long after = resident();
  printf("%ld jobs: %ld finished, %ld cancelled, %ld refused, %ld polls came too late; memory %ld KiB, then %ld KiB\n", jobs,
         (long)finished, (long)cancelled, (long)failed, (long)taken, before / 1024, after / 1024);
  CHECK(jobs < 10000 || after - before < 8 * 1024 * 1024);
  return 0;
}
