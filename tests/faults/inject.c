/* Runs a program and makes one of its system calls go wrong: `inject -o REPORT [-p CLASS:N:FAULT] [-t TRACE] -- PROGRAM…`.
 *
 * The calls that touch files, folders and sockets are counted by class, over all threads, from the moment when the program's
 * own code begins (Rust's runtime calls poll() first). The Nth of a class then meets a fault. Without -p it only counts. The
 * report is one line of JSON: the counts, what was hit, how the program ended. Nothing of the program is changed for it, and
 * calls that bypass the C library are seen like all others: seccomp stops them, ptrace decides (seccomp(2), ptrace(2)).
 *
 * With -t every call that changes a file system, or orders it to keep something, is written down with its result and, for
 * writes, the bytes: what a power cut would have left is computed from that (powercut.py).
 *
 * Processes that the program starts are let through, uncounted. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/auxvec.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of x86_64 are written here"
#endif

enum class { WRITE, SYNC, RENAME, LINK, UNLINK, TRUNCATE, MKDIR, CREATE, OPEN, READ, LIST, STAT, ATTRIBUTE, CONNECT, SEND, RECEIVE,
             PIPE, SPAWN, LOCK, CLOSE, CLOCK, CLASSES, BEGIN, NONE };
static const char *const names[CLASSES] = { "write", "fsync", "rename", "link", "unlink", "truncate", "mkdir", "create", "open",
  "read", "list", "stat", "attribute", "connect", "send", "receive", "pipe", "spawn", "lock", "close", "clock" };

/* Reads and writes are told apart by what they read from or write to, opens by whether they make something. */
static const struct { int number; enum class class; } calls[] = {
  { SYS_write, WRITE }, { SYS_pwrite64, WRITE }, { SYS_writev, WRITE }, { SYS_pwritev, WRITE }, { SYS_pwritev2, WRITE },
  { SYS_copy_file_range, WRITE }, { SYS_sendfile, WRITE }, { SYS_splice, WRITE }, { SYS_fallocate, WRITE },
  { SYS_fsync, SYNC }, { SYS_fdatasync, SYNC }, { SYS_syncfs, SYNC }, { SYS_sync_file_range, SYNC },
  { SYS_rename, RENAME }, { SYS_renameat, RENAME }, { SYS_renameat2, RENAME },
  { SYS_link, LINK }, { SYS_linkat, LINK }, { SYS_symlink, LINK }, { SYS_symlinkat, LINK },
  { SYS_unlink, UNLINK }, { SYS_unlinkat, UNLINK }, { SYS_rmdir, UNLINK },
  { SYS_truncate, TRUNCATE }, { SYS_ftruncate, TRUNCATE },
  { SYS_mkdir, MKDIR }, { SYS_mkdirat, MKDIR }, { SYS_mknodat, MKDIR },
  { SYS_open, OPEN }, { SYS_openat, OPEN }, { SYS_openat2, OPEN }, { SYS_creat, CREATE },
  { SYS_socket, OPEN }, { SYS_pipe2, OPEN }, { SYS_eventfd2, OPEN }, { SYS_dup, OPEN },
  { SYS_read, READ }, { SYS_pread64, READ }, { SYS_readv, READ },
  { SYS_getdents64, LIST },
  { SYS_stat, STAT }, { SYS_lstat, STAT }, { SYS_statx, STAT }, { SYS_newfstatat, STAT }, { SYS_fstat, STAT }, { SYS_readlink, STAT },
  { SYS_readlinkat, STAT }, { SYS_statfs, STAT }, { SYS_fstatfs, STAT },
  { SYS_chmod, ATTRIBUTE }, { SYS_fchmod, ATTRIBUTE }, { SYS_fchmodat, ATTRIBUTE }, { SYS_chown, ATTRIBUTE }, { SYS_fchown, ATTRIBUTE },
  { SYS_lchown, ATTRIBUTE }, { SYS_fchownat, ATTRIBUTE }, { SYS_utimensat, ATTRIBUTE }, { SYS_setxattr, ATTRIBUTE },
  { SYS_lsetxattr, ATTRIBUTE }, { SYS_fsetxattr, ATTRIBUTE },
  { SYS_connect, CONNECT }, { SYS_sendto, SEND }, { SYS_sendmsg, SEND }, { SYS_recvfrom, RECEIVE }, { SYS_recvmsg, RECEIVE },
  { SYS_clone, SPAWN }, { SYS_clone3, SPAWN }, { SYS_vfork, SPAWN }, { SYS_fork, SPAWN }, { SYS_execve, SPAWN },
  { SYS_flock, LOCK }, { SYS_close, CLOSE },
  { SYS_clock_gettime, CLOCK }, { SYS_gettimeofday, CLOCK }, { SYS_time, CLOCK },
  { SYS_poll, BEGIN },
};
enum { CALLS = sizeof calls / sizeof *calls };

static pid_t program;
static int begun, fired, sticky;
static long counts[CLASSES];
static enum class wanted = NONE;
static long wanted_index;
static const char *fault = "";
static char hit[2 * PATH_MAX + 64];
static FILE *trace;
/* The sockets that were connected to a peer, by inode: pairs within the program are no connections. */
static ino_t peers[4096];
static size_t peer_count;

/* What a thread is in the middle of, for the calls whose end matters. */
struct thread { pid_t pid; int inside, kill_then, fail_then, writes; long number; char path[PATH_MAX], other[PATH_MAX]; uint64_t inode, device, offset; };
static struct thread threads[512];

static void die(const char *what) { perror(what); exit(125); }

static struct thread *thread_of(pid_t pid) {
  struct thread *free_one = NULL;
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    if (threads[i].pid == pid) return &threads[i];
    if (!threads[i].pid && !free_one) free_one = &threads[i];
  }
  if (!free_one) { fputs("inject: too many threads\n", stderr); exit(125); }
  memset(free_one, 0, sizeof *free_one);
  free_one->pid = pid;
  return free_one;
}

static void filter(void) {
  struct sock_filter code[CALLS * 2 + 16];
  unsigned short n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  /* Only the time of day: what is waited by goes on. */
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 4);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 0, 1);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | CLOCK);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  for (int i = 0; i < CALLS; i++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | (unsigned)calls[i].class);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog all = { n, code };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all)) die("inject: seccomp");
}

static pid_t group_of(pid_t pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "re");
  pid_t group = 0;
  while (file && fgets(line, sizeof line, file)) if (sscanf(line, "Tgid: %d", &group) == 1) break;
  if (file) fclose(file);
  return group;
}

/* Takes the kernel's page of calls from a program that begins, by which it would read the clock without any call: vdso(7), getauxval(3). */
static void without_vdso(pid_t pid) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, pid, 0, &regs)) die("inject: registers");
  /* On the stack lie the number of arguments, these, nothing, the environment, nothing, then pairs. */
  uint64_t at = regs.rsp + 8;
  for (int lists = 0; lists < 2; at += 8) lists += !ptrace(PTRACE_PEEKDATA, pid, at, 0);
  for (long key; (key = ptrace(PTRACE_PEEKDATA, pid, at, 0)) != AT_NULL; at += 16)
    if (key == AT_SYSINFO_EHDR) ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE);
}

static void text_at(pid_t pid, uint64_t address, char *into, size_t size) {
  /* A string may end just before memory that is not there: up to the page's end, then the rest. */
  size_t got = 0;
  while (address && got + 1 < size) {
    size_t piece = 4096 - (address + got) % 4096;
    if (piece > size - 1 - got) piece = size - 1 - got;
    struct iovec here = { into + got, piece }, there = { (void *)(address + got), piece };
    ssize_t done = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (done <= 0) break;
    if (memchr(into + got, 0, (size_t)done)) return;
    got += (size_t)done;
  }
  into[got] = 0;
}

static void path_of(pid_t pid, int file, char *into) {
  char link[64];
  if (file == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", pid);
  else snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, file);
  ssize_t length = readlink(link, into, PATH_MAX - 1);
  into[length < 0 ? 0 : length] = 0;
}

/* The path that a folder and a name in the program's memory make. */
static void path_at(pid_t pid, int folder, uint64_t name, char *into) {
  char last[PATH_MAX];
  text_at(pid, name, last, sizeof last);
  if (last[0] == '/') { strcpy(into, last); return; }
  path_of(pid, folder, into);
  size_t length = strlen(into);
  if (last[0]) snprintf(into + length, PATH_MAX - length, "/%s", last);
}

/* The file that a call writes to. */
static int written_to(const struct user_regs_struct *regs, long number) {
  return number == SYS_copy_file_range || number == SYS_splice ? (int)regs->rdx : (int)regs->rdi;
}

static int kind_of(pid_t pid, int file, struct stat *found) {
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, file);
  return stat(link, found) ? 0 : found->st_mode & S_IFMT;
}

static int is_peer(ino_t inode) {
  for (size_t i = 0; i < peer_count && i < sizeof peers / sizeof *peers; i++) if (peers[i] == inode) return 1;
  return 0;
}

/* Where reading and writing fall by what the file is; a terminal, an eventfd and the like are nothing to us. */
static enum class by_file(pid_t pid, const struct user_regs_struct *regs, enum class class) {
  struct stat found;
  int file = written_to(regs, (long)regs->orig_rax);
  switch (kind_of(pid, file, &found)) {
    case S_IFREG: return class;
    case S_IFSOCK: return !is_peer(found.st_ino) ? NONE : class == WRITE ? SEND : RECEIVE;
    case S_IFIFO: return file <= 2 ? NONE : PIPE;
    default: return NONE;
  }
}

static enum class classify(pid_t pid, const struct user_regs_struct *regs, enum class class) {
  struct stat found;
  if (class == WRITE || class == READ) return by_file(pid, regs, class);
  if (class == CLOSE) {
    int kind = kind_of(pid, (int)regs->rdi, &found);
    return kind == S_IFREG || kind == S_IFDIR ? CLOSE : NONE;
  }
  if ((class == SEND || class == RECEIVE) && (!kind_of(pid, (int)regs->rdi, &found) || !is_peer(found.st_ino))) return NONE;
  if (class == CONNECT && kind_of(pid, (int)regs->rdi, &found)) peers[peer_count++ % (sizeof peers / sizeof *peers)] = found.st_ino;
  if (class == OPEN) {
    uint64_t flags = 0;
    if (regs->orig_rax == SYS_open) flags = regs->rsi;
    if (regs->orig_rax == SYS_openat) flags = regs->rdx;
    if (regs->orig_rax == SYS_openat2) {
      struct iovec here = { &flags, sizeof flags }, there = { (void *)regs->rdx, sizeof flags };
      if (process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof flags) flags = 0;
    }
    /* O_TMPFILE includes O_DIRECTORY. */
    return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? CREATE : OPEN;
  }
  return class;
}

/* The names of a call, for the report and the trace. */
static void paths_of(pid_t pid, const struct user_regs_struct *regs, enum class class, char *path, char *other) {
  *path = *other = 0;
  switch (regs->orig_rax) {
    case SYS_rename: case SYS_link:
      path_at(pid, AT_FDCWD, regs->rdi, path); path_at(pid, AT_FDCWD, regs->rsi, other); return;
    case SYS_renameat: case SYS_renameat2: case SYS_linkat:
      path_at(pid, (int)regs->rdi, regs->rsi, path); path_at(pid, (int)regs->rdx, regs->r10, other); return;
    case SYS_symlink: text_at(pid, regs->rdi, other, PATH_MAX); path_at(pid, AT_FDCWD, regs->rsi, path); return;
    case SYS_symlinkat: text_at(pid, regs->rdi, other, PATH_MAX); path_at(pid, (int)regs->rsi, regs->rdx, path); return;
    case SYS_unlink: case SYS_rmdir: case SYS_mkdir: case SYS_open: case SYS_creat: case SYS_truncate: case SYS_stat: case SYS_lstat:
    case SYS_chmod: case SYS_chown: case SYS_lchown: case SYS_readlink: case SYS_statfs: case SYS_setxattr: case SYS_lsetxattr:
    case SYS_execve:
      path_at(pid, AT_FDCWD, regs->rdi, path); return;
    case SYS_unlinkat: case SYS_mkdirat: case SYS_openat: case SYS_openat2: case SYS_statx: case SYS_newfstatat: case SYS_fchmodat:
    case SYS_fchownat: case SYS_utimensat: case SYS_readlinkat: case SYS_mknodat:
      path_at(pid, (int)regs->rdi, regs->rsi, path); return;
    case SYS_copy_file_range: case SYS_splice: path_of(pid, (int)regs->rdx, path); return;
    case SYS_socket: case SYS_pipe2: case SYS_eventfd2: return;
    default: if (class != SPAWN && class != CLOCK) path_of(pid, (int)regs->rdi, path);
  }
}

static int number_of(const char *name) {
  static const struct { const char *name; int number; } known[] = { { "eio", EIO }, { "enospc", ENOSPC }, { "eintr", EINTR },
    { "emfile", EMFILE }, { "full", ENOSPC }, { "readonly", EROFS }, { "dead", ECONNRESET }, { "eagain", EAGAIN }, { "edquot", EDQUOT },
    { "enolck", ENOLCK }, { "eacces", EACCES } };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) if (!strcmp(known[i].name, name)) return known[i].number;
  return 0;
}

/* A disk that is full stays full, one that went read-only stays so, a peer that died does not come back, and a clock that jumped stays there. */
static int lasts(enum class class) {
  if (!strcmp(fault, "full")) return class == WRITE || class == CREATE || class == MKDIR || class == LINK;
  if (!strcmp(fault, "readonly")) return class == WRITE || (class >= RENAME && class <= CREATE) || class == ATTRIBUTE;
  if (!strcmp(fault, "dead")) return class == CONNECT || class == SEND || class == RECEIVE;
  return class == CLOCK && wanted == CLOCK;
}

/* Half of what was to be written or read; whether there was a half. */
static int shorten(pid_t pid, struct user_regs_struct *regs) {
  unsigned long long *length = regs->orig_rax == SYS_copy_file_range || regs->orig_rax == SYS_splice ? &regs->r8
    : regs->orig_rax == SYS_sendfile ? &regs->r10 : &regs->rdx;
  if (*length < 2 || regs->orig_rax == SYS_fallocate || regs->orig_rax == SYS_sendmsg || regs->orig_rax == SYS_recvmsg) return 0;
  *length /= 2;
  return ptrace(PTRACE_SETREGS, pid, 0, regs) == 0;
}

/* The time that the clock shows once it has jumped, in place of the call. */
static void tell_time(pid_t pid, struct user_regs_struct *regs) {
  static const struct { const char *name; time_t seconds; } jumps[] = {
    { "ahead", 400L * 24 * 3600 }, { "behind", -400L * 24 * 3600 }, { "corrected", -90 } };
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) if (!strcmp(fault, jumps[i].name)) now.tv_sec += jumps[i].seconds;
  uint64_t into = regs->orig_rax == SYS_clock_gettime ? regs->rsi : regs->rdi;
  if (regs->orig_rax == SYS_gettimeofday) now.tv_nsec /= 1000;
  struct iovec here = { &now, regs->orig_rax == SYS_time ? sizeof now.tv_sec : sizeof now }, there = { (void *)into, here.iov_len };
  if (into && process_vm_writev(pid, &here, 1, &there, 1, 0) < 0) die("inject: writing the time");
  regs->rax = regs->orig_rax == SYS_time ? (unsigned long long)now.tv_sec : 0;
  regs->orig_rax = (unsigned long long)-1;
  ptrace(PTRACE_SETREGS, pid, 0, regs);
}

static void refuse(pid_t pid, struct user_regs_struct *regs, int error) {
  regs->orig_rax = (unsigned long long)-1;
  regs->rax = (unsigned long long)-error;
  ptrace(PTRACE_SETREGS, pid, 0, regs);
}

/* Returns the request with which the thread goes on. */
static int strike(pid_t pid, struct user_regs_struct *regs, enum class class) {
  if (!fired) {
    char path[PATH_MAX], other[PATH_MAX];
    paths_of(pid, regs, class, path, other);
    snprintf(hit, sizeof hit, "%s %s%s%s", names[class], path, *other ? " -> " : "", other);
  }
  fired = 1;
  if (!strcmp(fault, "kill")) {
    kill(program, SIGKILL);
  } else if (!strcmp(fault, "torn")) {
    if (shorten(pid, regs)) { thread_of(pid)->kill_then = 1; return PTRACE_SYSCALL; }
    kill(program, SIGKILL);
  } else if (!strcmp(fault, "after")) {
    thread_of(pid)->kill_then = 1;
    return PTRACE_SYSCALL;
  } else if (!strcmp(fault, "short")) {
    shorten(pid, regs);
  } else if (!strcmp(fault, "delay")) {
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
  } else if (class == CLOCK) {
    sticky = 1;
    tell_time(pid, regs);
  } else if (class == CLOSE) {
    /* What was opened is closed all the same: close(2). */
    thread_of(pid)->fail_then = number_of(fault);
    return PTRACE_SYSCALL;
  } else {
    sticky = 1;
    refuse(pid, regs, number_of(fault));
  }
  return PTRACE_CONT;
}

/* The length of a truncation, the flags of an open or a rename. */
static unsigned long long argument(long number, const struct user_regs_struct *regs) {
  switch (number) {
    case SYS_ftruncate: case SYS_truncate: case SYS_open: return regs->rsi;
    case SYS_openat: return regs->rdx;
    case SYS_renameat2: return regs->r8;
    default: return regs->r10;
  }
}

/* The bytes that a call has written: from the program's memory, or, where they never were in one piece there, from the file. */
static void written(pid_t pid, const struct user_regs_struct *regs, const struct thread *thread, char *bytes, size_t count) {
  if (!count) return;
  if (thread->number == SYS_write || thread->number == SYS_pwrite64) {
    struct iovec here = { bytes, count }, there = { (void *)regs->rsi, count };
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)count) die("inject: reading what was written");
    return;
  }
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, written_to(regs, thread->number));
  int file = open(link, O_RDONLY | O_CLOEXEC);
  if (file < 0 || pread(file, bytes, count, (off_t)thread->offset) != (ssize_t)count) die("inject: reading back what was written");
  close(file);
}

/* Where a call will write: an argument, a number that an argument points at, or where the file stands. */
static uint64_t position(pid_t pid, const struct user_regs_struct *regs) {
  uint64_t at = 0;
  switch (regs->orig_rax) {
    case SYS_pwrite64: case SYS_pwritev: return regs->r10;
    case SYS_pwritev2: if ((int64_t)regs->r10 != -1) return regs->r10; break;
    case SYS_fallocate: return regs->rdx;
    case SYS_copy_file_range: case SYS_splice:
      if (regs->r10) {
        struct iovec here = { &at, sizeof at }, there = { (void *)regs->r10, sizeof at };
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof at) die("inject: reading an offset");
        return at;
      }
  }
  char path[64], line[128];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, written_to(regs, (long)regs->orig_rax));
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file)) if (sscanf(line, "pos: %" SCNu64, &at) == 1) break;
  if (file) fclose(file);
  return at;
}

/* One line for each call that counts for what a power cut leaves, behind it the bytes of a write. */
static void note(pid_t pid, const struct user_regs_struct *regs, struct thread *thread) {
  long long result = (long long)regs->rax;
  struct stat found;
  if (result < 0) return;
  if ((regs->orig_rax == SYS_open || regs->orig_rax == SYS_openat || regs->orig_rax == SYS_openat2 || regs->orig_rax == SYS_creat)
      && kind_of(pid, (int)result, &found)) {
    thread->inode = found.st_ino;
    thread->device = found.st_dev;
    /* What it is in place of where. */
    thread->offset = found.st_mode;
  }
  fprintf(trace, "%ld %lld %" PRIu64 ":%" PRIu64 " %" PRIu64 " %llu %zu %zu\n", thread->number, result, thread->device, thread->inode,
          thread->offset, argument(thread->number, regs),
          strlen(thread->path), strlen(thread->other));
  fwrite(thread->path, 1, strlen(thread->path), trace);
  fwrite(thread->other, 1, strlen(thread->other), trace);
  if (thread->writes && thread->number != SYS_fallocate) {
    char *bytes = malloc((size_t)result + 1);
    written(pid, regs, thread, bytes, (size_t)result);
    fwrite(bytes, 1, (size_t)result, trace);
    free(bytes);
  }
  fputc('\n', trace);
}

static int watch(pid_t pid, const struct user_regs_struct *regs, enum class class) {
  if (!(class <= CREATE || class == OPEN)) return PTRACE_CONT;
  struct thread *thread = thread_of(pid);
  struct stat found;
  thread->inside = 1;
  thread->number = (long)regs->orig_rax;
  thread->writes = class == WRITE;
  paths_of(pid, regs, class, thread->path, thread->other);
  thread->inode = thread->device = thread->offset = 0;
  if (class == WRITE || class == SYNC || regs->orig_rax == SYS_ftruncate) {
    if (kind_of(pid, written_to(regs, thread->number), &found)) { thread->inode = found.st_ino; thread->device = found.st_dev; }
    if (class == WRITE) thread->offset = position(pid, regs);
  }
  /* A file without a name gets one so: see open(2), O_TMPFILE. */
  int number;
  if (class == LINK && sscanf(thread->path, "/proc/self/fd/%d", &number) == 1 && kind_of(pid, number, &found)) {
    thread->inode = found.st_ino;
    thread->device = found.st_dev;
  }
  return PTRACE_SYSCALL;
}

static int on_call(pid_t pid, enum class class) {
  if (pid != program && group_of(pid) != program) return PTRACE_CONT;
  if (class == BEGIN) { begun = 1; return PTRACE_CONT; }
  if (!begun) return PTRACE_CONT;
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, pid, 0, &regs)) return PTRACE_CONT;
  class = classify(pid, &regs, class);
  if (class == NONE) return PTRACE_CONT;
  counts[class]++;
  if (sticky && lasts(class)) {
    if (class == CLOCK) tell_time(pid, &regs);
    else refuse(pid, &regs, number_of(fault));
    return PTRACE_CONT;
  }
  if (!fired && class == wanted && counts[class] == wanted_index) return strike(pid, &regs, class);
  return trace ? watch(pid, &regs, class) : PTRACE_CONT;
}

static void report(const char *path, int status) {
  FILE *file = fopen(path, "we");
  if (!file) die(path);
  fputs("{\"counts\": {", file);
  for (int i = 0; i < CLASSES; i++) fprintf(file, "%s\"%s\": %ld", i ? ", " : "", names[i], counts[i]);
  fprintf(file, "}, \"fired\": %s, \"exit\": %d, \"hit\": \"", fired ? "true" : "false",
          WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  for (const unsigned char *c = (unsigned char *)hit; *c; c++)
    fprintf(file, *c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\' ? "\\u%04x" : "%c", *c);
  fputs("\"}\n", file);
  if (fclose(file)) die(path);
}

static void point(char *text) {
  char *class = strtok(text, ":"), *index = strtok(NULL, ":"), *what = strtok(NULL, ":");
  for (int i = 0; class && i < CLASSES; i++) if (!strcmp(names[i], class)) wanted = (enum class)i;
  if (wanted == NONE || !index || !what) { fputs("inject: a point is CLASS:N:FAULT\n", stderr); exit(125); }
  wanted_index = atol(index);
  fault = what;
}

int main(int argc, char **argv) {
  const char *into = NULL;
  for (int option; (option = getopt(argc, argv, "+o:p:t:")) != -1;) {
    if (option == 'o') into = optarg;
    else if (option == 'p') point(optarg);
    else if (option == 't') { if (!(trace = fopen(optarg, "we"))) die(optarg); }
    else return 125;
  }
  if (!into || optind >= argc) { fputs("usage: inject -o REPORT [-p CLASS:N:FAULT] [-t TRACE] -- PROGRAM…\n", stderr); return 125; }
  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) die("inject");
  if ((program = fork()) < 0) die("inject");
  if (program == 0) {
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) < 0) _exit(125);
    filter();
    execvp(argv[optind], argv + optind);
    die(argv[optind]);
  }
  long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC
    | PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
  if (ptrace(PTRACE_SEIZE, program, 0, options)) die("inject: ptrace");
  /* Ctrl-C is for the program. */
  signal(SIGINT, SIG_IGN);
  close(ready[0]);
  close(ready[1]);
  int status, ended = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      thread_of(pid)->pid = 0;
      /* What it has started and left goes on without us, and ends with us at the latest. */
      if (pid == program) { ended = status; report(into, status); }
      continue;
    }
    int signal = WSTOPSIG(status), event = status >> 16, request = PTRACE_CONT, deliver = 0;
    struct thread *thread = thread_of(pid);
    if (event == PTRACE_EVENT_SECCOMP) {
      unsigned long class = NONE;
      ptrace(PTRACE_GETEVENTMSG, pid, 0, &class);
      request = on_call(pid, (enum class)class);
    } else if (event == PTRACE_EVENT_EXEC) {
      if (pid == program) without_vdso(pid);
    } else if (signal == (SIGTRAP | 0x80)) {
      if (thread->kill_then) kill(program, SIGKILL);
      else if (thread->fail_then) {
        struct user_regs_struct regs;
        if (!ptrace(PTRACE_GETREGS, pid, 0, &regs)) {
          regs.rax = (unsigned long long)-thread->fail_then;
          ptrace(PTRACE_SETREGS, pid, 0, &regs);
        }
        thread->fail_then = 0;
      }
      else if (thread->inside && !(thread->inside = 0)) {
        struct user_regs_struct regs;
        if (!ptrace(PTRACE_GETREGS, pid, 0, &regs)) note(pid, &regs, thread);
      }
    } else if (!event) {
      deliver = signal;
    }
    ptrace(request, pid, 0, deliver);
  }
  if (trace && fclose(trace)) die("inject: the trace");
  return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}
