/*
 * bam: the C interface of the backup engine (libbam.so), version 0.3.0. GPL-2.0-or-later.
 *
 * Rules that hold for every function:
 *
 *  - It returns a bam_status; 0 is success. Results come through the last parameter, which is written
 *    on success only. Exceptions: bam_abi_version, bam_version and the bam_..._free functions.
 *  - Strings are NUL-terminated UTF-8, both ways. A string that you receive through a `char **` is
 *    yours: give it to bam_string_free. A string that you pass is only read during the call.
 *  - What bam_..._start or bam_..._open gave you goes back to the matching bam_..._free, once. NULL is
 *    fine there. Everywhere else a null pointer is answered with BAM_STATUS_NULL_POINTER.
 *  - After a failure bam_last_error tells what happened, in the thread in which it happened. No secret
 *    ever appears there.
 *  - Every function may be called from any thread. Calls on one handle wait for each other, except
 *    bam_job_cancel, which never waits. A handle is freed when no other call is using it.
 *  - The engine's own threads block SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGUSR1 and SIGUSR2, so that
 *    your handlers run on your threads.
 *
 * Made by cbindgen from rust/capi; `cargo test -p bam-capi` fails while this file is not what it makes
 * (BAM_UPDATE_HEADER=1 writes it).
 */


#ifndef BAM_H
#define BAM_H

#include <stdbool.h>
#include <stdint.h>

// How a call ended. Numbers and names are stable.
typedef enum bam_status {
  // Success.
  BAM_STATUS_OK = 0,
  // The request itself is wrong: an unknown argument, source, profile or destination.
  BAM_STATUS_USAGE = 1,
  // The configuration document cannot be read or contradicts itself.
  BAM_STATUS_CONFIG = 2,
  // What was asked for does not exist.
  BAM_STATUS_NOT_FOUND = 3,
  // Reading or writing failed.
  BAM_STATUS_IO = 4,
  // A disk or quota is full.
  BAM_STATUS_SPACE = 5,
  // The operating system or a server refused access.
  BAM_STATUS_PERMISSION = 6,
  // A database server or its client failed.
  BAM_STATUS_DATABASE = 7,
  // A destination could not be reached or refused.
  BAM_STATUS_DESTINATION = 8,
  // A key is missing or unusable.
  BAM_STATUS_KEY = 9,
  // Bytes are not what they should be: wrong MAC, damaged or truncated data, wrong key.
  BAM_STATUS_INTEGRITY = 10,
  // Another run holds the lock.
  BAM_STATUS_LOCKED = 11,
  // The job was cancelled.
  BAM_STATUS_CANCELLED = 12,
  // Done, but not everywhere.
  BAM_STATUS_PARTIAL = 13,
  // A format, cipher or feature that bam does not handle.
  BAM_STATUS_UNSUPPORTED = 14,
  // A bug in bam.
  BAM_STATUS_INTERNAL = 15,
  // A pointer was null that must not be.
  BAM_STATUS_NULL_POINTER = 16,
  // A string was not UTF-8.
  BAM_STATUS_NOT_UTF8 = 17,
  // A bug in bam stopped the call half-way.
  BAM_STATUS_PANIC = 18,
} bam_status;

// Where a job is.
typedef enum bam_phase {
  // Reading settings, taking the lock, looking at the source.
  BAM_PHASE_PREPARING = 0,
  // Bytes flow from the source to the destinations.
  BAM_PHASE_BACKING_UP = 1,
  // Waiting for destinations to finish, putting backups in place.
  BAM_PHASE_FINISHING = 2,
  // Checking a backup before anything is changed.
  BAM_PHASE_VERIFYING = 3,
  // Bytes flow back.
  BAM_PHASE_RESTORING = 4,
  // Nothing more happens.
  BAM_PHASE_DONE = 5,
} bam_phase;

// An archive that is being listed.
typedef struct bam_archive bam_archive;

// A running job. Its result can be taken once.
typedef struct bam_job bam_job;

// The last failure of the calling thread. The strings belong to the library and stay valid until the
// next failure in this thread.
typedef struct bam_error {
  // What the failed call returned; BAM_STATUS_OK while no call has failed.
  enum bam_status status;
  // The exit code that a command should end with.
  int32_t exit_code;
  // The status as a stable word: "usage", "not_found", "integrity" ...
  const char *code;
  // What failed and why: one sentence without a full stop.
  const char *message;
  // What to do about it, or an empty string.
  const char *hint;
} bam_error;

// A job's counters.
typedef struct bam_progress {
  // Where the job is.
  enum bam_phase phase;
  // Whether bam_job_finish would return at once.
  bool finished;
  // Bytes read from the source so far (on a restore: from the backup).
  uint64_t bytes_in;
  // Bytes written to the destinations so far, counted once.
  uint64_t bytes_out;
  // What bytes_in is expected to reach; 0 while unknown.
  uint64_t bytes_total;
  // Files, folders, links and tables handled so far.
  uint64_t entries;
  // What is being worked on: a path or a table, cut to what fits.
  char current[256];
} bam_progress;

// Archives a folder into the tar file `file`, compressed as its extension says (.gz, .zst, .bz2, .zip, none). `file`
// must not exist; it appears when it is whole. Blocks until then.
//
// `options_json` may be NULL: `{"exclude": [paths relative to the folder, or absolute, or patterns as in a .gitignore],
// "ignore_errors": false}`. The report: `{"files", "directories", "links", "bytes", "changed", "vanished", "skipped", "missing", "notes"}`.
enum bam_status bam_archive_create(const char *folder,
                                   const char *file,
                                   const char *options_json,
                                   char **report_json);

// Extracts a tar file, compressed or not, into a folder that exists. Nothing is written outside of it, whatever the
// archive says. Blocks until all is there.
//
// `options_json` may be NULL: `{"owners": give files their owners back (default: when run by root), "special_bits":
// false}`. The report: `{"files", "directories", "links", "bytes", "skipped", "missing", "notes"}`.
enum bam_status bam_archive_extract(const char *file,
                                    const char *folder,
                                    const char *options_json,
                                    char **report_json);

// Opens a tar file, compressed or not, to list what is in it.
enum bam_status bam_archive_open(const char *file, struct bam_archive **archive);

// The next member: `{"path", "type", "size", "mode", "uid", "gid", "mtime", "target"}`, or NULL behind the last. In
// paths, control characters and bytes that are not UTF-8 are escaped.
enum bam_status bam_archive_next(const struct bam_archive *archive,
                                 char **member_json);

// Ends a listing. NULL is fine.
void bam_archive_free(struct bam_archive *archive);

// Reads a configuration document (docs/configuration.md), adds what is built in, and gives it back whole. Without
// `with_secrets`, passwords and keys are replaced by "[hidden]".
enum bam_status bam_config_complete(const char *config_json,
                                    bool with_secrets,
                                    char **completed_json);

// Checks a configuration document: fails where it contradicts itself, else gives warnings, `[{"kind", "text"}]`.
enum bam_status bam_config_check(const char *config_json,
                                 char **notes_json);

// Parses what Backup and Migrate, CTools or Features export; nothing is evaluated. Gives
// `{"items": [{"type", "machine_name", "item", "document", "database", "notes"}], "notes"}`: `item` is what the export
// says in Backup and Migrate's words, `document` the same as an entry of the configuration document. A mistake in the
// text fails with its line and column.
enum bam_status bam_settings_parse(const char *export_,
                                   char **settings_json);

// Encrypts a file as `openssl enc -aes-256-cbc -pbkdf2` does, with the first line of `key_file` as passphrase.
// `iterations` 0 means the default, 600 000. `to` must not exist; it appears when it is whole. Blocks until then.
//
// The format has no integrity check of its own; a backup's is in its sidecar.
enum bam_status bam_encrypt_file(const char *from,
                                 const char *to,
                                 const char *key_file,
                                 uint32_t iterations);

// Decrypts what bam_encrypt_file or `openssl enc` wrote, or a file of the Drupal module aes 7.x (`.aes`, written with
// phpseclib). Where a backup's sidecar lies beside it, the backup is proven against it first; else `iterations` 0 means
// that the usual ones are tried. The rest as above.
enum bam_status bam_decrypt_file(const char *from,
                                 const char *to,
                                 const char *key_file,
                                 uint32_t iterations);

// Tells what the last failed call of this thread failed of.
enum bam_status bam_last_error(struct bam_error *error);

// The same as JSON, with what is known besides: `{"code", "message", "hint", "operation", "path", "object", "database",
// "destination", "backup", "cause"}`, of which only the first three are always there (docs/json.md). NULL while no call
// has failed.
enum bam_status bam_last_error_json(char **error_json);

// Starts a job: `{"config": {the configuration document}, "request": {"job": "backup", "what": "db"}}`.
// The shapes are in docs/json.md. The work runs on threads of its own.
enum bam_status bam_job_start(const char *request_json,
                              struct bam_job **job);

// Tells what a request to back up, or to run a schedule, means before it is started: `{"source", "profile", "destinations", "schedule",
// "site_offline", "site_offline_message"}`. Takes what bam_job_start takes.
enum bam_status bam_backup_choose(const char *request_json,
                                  char **choice_json);

// Waits until the job ends, at most `wait_ms` milliseconds, and tells its counters.
enum bam_status bam_job_poll(const struct bam_job *job,
                             uint32_t wait_ms,
                             struct bam_progress *progress);

// Asks the job to stop. bam_job_finish then fails with BAM_STATUS_CANCELLED, unless it was done already.
enum bam_status bam_job_cancel(const struct bam_job *job);

// What the job has had to say so far: `[{"kind": "info", "warning" or "missing", "text"}]`. Also after its end, and
// after a failure, which has no result that would hold them.
enum bam_status bam_job_notes(const struct bam_job *job,
                              char **notes_json);

// Waits for the end of the job and gives its result as JSON, once. The job still has to be freed.
enum bam_status bam_job_finish(const struct bam_job *job, char **result_json);

// Frees a job. One that still runs is cancelled first and leaves nothing behind. NULL is fine.
void bam_job_free(struct bam_job *job);

// Makes a key file: 32 random bytes as base64 on one line, readable by its owner only. Never replaces a file.
enum bam_status bam_key_create(const char *key_file);

// Looks at a key file: `{"id": what sidecars call it by, "notes": [{"kind", "text"}]}`. Fails where it cannot be used.
enum bam_status bam_key_check(const char *key_file,
                              char **report_json);

// Frees a string that this library gave out. NULL is fine.
void bam_string_free(char *string);

// Copies a local file to a destination, under `name`. Its sidecar is `FILE.info`, where there is one. With `replace` it
// takes the place of a file of that name, else that is an error. Blocks until the copy is in place.
enum bam_status bam_transfer_put(const char *destination_json,
                                 const char *file,
                                 const char *name,
                                 bool replace);

// Copies the file `name` of a destination to the local `file`, and its sidecar to `FILE.info`. Neither may exist;
// each appears when it is whole. Blocks until then.
enum bam_status bam_transfer_get(const char *destination_json,
                                 const char *name,
                                 const char *file);

// Lists the files of a destination: `[{"name", "size", "mtime", "sidecar"}]`.
enum bam_status bam_transfer_list(const char *destination_json, char **listing_json);

// Removes a file of a destination and its sidecar.
enum bam_status bam_transfer_delete(const char *destination_json, const char *name);

// The version of this interface. A caller that was written for another one should stop here.
uint32_t bam_abi_version(void);

// The version of the library, e.g. "0.3.0". The string is never freed.
const char *bam_version(void);

#endif  /* BAM_H */
