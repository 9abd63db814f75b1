/* Stands before libc's file operations (LD_PRELOAD): kills its process at one of them, and notes what reaches the disk.
 *
 * CRASH_UNDER   the folder whose operations count; everything elsewhere passes untouched.
 * CRASH_ORDER   a file that may hold `ROLE NUMBER MANNER`: a process of that role ends by SIGKILL at its operation of
 *               that number; writes to one file in a row count once. MANNER is `before`, `after` or `torn` (half of a write is done, another operation is not).
 *               The process takes the file away as it dies, so one order kills once.
 * CRASH_RECORD  a folder. Each operation becomes a line of its `log`; each fsync also a copy of what the file then held.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum manner { PASS, BEFORE, TORN, AFTER };

static const char *under, *order, *record;
static const char *role = "other";
static int done, owner;

/* A fork server forks supervisors, these their workers, and these their samplers. */
static void forked(void) {
    if (!strcmp(role, "fork_server")) role = "supervisor";
    else if (!strcmp(role, "supervisor")) role = "worker";
    else if (!strcmp(role, "worker")) role = "sampler";
}

__attribute__((constructor)) static void begin(void) {
    pthread_atfork(0, 0, forked);

    char words[8192];
    ssize_t size = -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    under = getenv("CRASH_UNDER");
    order = getenv("CRASH_ORDER");
    record = getenv("CRASH_RECORD");
    if (fd >= 0) {
        size = syscall(SYS_read, fd, words, sizeof words - 1);
        syscall(SYS_close, fd);
    }
    for (ssize_t i = 0; i < size; i++)
        if (!words[i]) words[i] = ' ';
    words[size > 0 ? size : 0] = 0;
    if (strstr(words, "supervisor.py ")) role = "supervisor";
    else if (strstr(words, "-m llem.measure.sampling")) role = "sampler";
    else if (strstr(words, "-m llem.worker")) role = "worker";
    else if (strstr(words, "-m llem_warm.fork_server ")) role = "fork_server";
    else if (strstr(words, "-m llem ")) role = "host";
}

/* What a descriptor is open on, if that is below the folder. */
static int of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return strncmp(path, under, strlen(under)) == 0;
}

static int of_path(int at, const char *name, char *path) {
    char folder[PATH_MAX] = "";
    if (name[0] != '/') {
        ssize_t size = -1;
        if (at == AT_FDCWD) size = getcwd(folder, sizeof folder) ? (ssize_t)strlen(folder) : -1;
        else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            size = readlink(link, folder, sizeof folder - 1);
        }
        if (size < 0) return 0;
        folder[size] = 0;
        if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) return 0;
    } else if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) return 0;
    return strncmp(path, under, strlen(under)) == 0;
}

/* Whether the process shall die at this operation. */
static enum manner due(const char *what, const char *path) {
    static char written[PATH_MAX];
    char text[128], who[32], how[16];
    int number;
    if (owner != getpid()) owner = getpid(), done = 0, written[0] = 0; /* a fork counts for itself */
    if (strcmp(what, "write")) written[0] = 0;
    else if (!strcmp(written, path)) return PASS;
    else strcpy(written, path);
    done++;
    if (!order) return PASS;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, order, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return PASS;
    ssize_t size = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[size > 0 ? size : 0] = 0;
    if (sscanf(text, "%31s %d %15s", who, &number, how) != 3 || strcmp(who, role) || done < number) return PASS;
    if (syscall(SYS_unlinkat, AT_FDCWD, order, 0)) return PASS; /* another process was first */
    return how[0] == 'b' ? BEFORE : how[0] == 't' ? TORN : AFTER;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void note(const char *what, const char *path, const char *more) {
    static int copies;
    char file[PATH_MAX], line[3 * PATH_MAX];
    int saved = errno;
    if (!record) return;
    if (!strcmp(what, "fsync")) {
        char data[65536];
        ssize_t size;
        snprintf(file, sizeof file, "%s/%d-%d", record, getpid(), ++copies);
        int in = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        int out = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        while (in >= 0 && (size = syscall(SYS_read, in, data, sizeof data)) > 0) syscall(SYS_write, out, data, size);
        syscall(SYS_close, in);
        syscall(SYS_close, out);
        more = file;
    }
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\n", role, what, path, more);
    snprintf(file, sizeof file, "%s/log", record);
    int log = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    syscall(SYS_write, log, line, size);
    syscall(SYS_close, log);
    errno = saved;
}

/* Runs an operation, or dies before, in or after it. */
#define AT(known, call, torn, what, path, more)                                                                        \
    do {                                                                                                               \
        if (!under || !(known)) return call;                                                                           \
        enum manner manner = due(what, path);                                                                                    \
        if (manner == TORN) (void)(torn);                                                                              \
        if (manner == BEFORE || manner == TORN) die();                                                                 \
        __typeof__(call) result = call;                                                                                \
        if (result >= 0) note(what, path, more);                                                                       \
        if (manner == AFTER) die();                                                                                    \
        return result;                                                                                                 \
    } while (0)

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    AT(of_fd(fd, path), syscall(SYS_write, fd, data, size), syscall(SYS_write, fd, data, size / 2), "write", path, "");
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    char path[PATH_MAX];
    AT(of_fd(fd, path), syscall(SYS_pwrite64, fd, data, size, at), syscall(SYS_pwrite64, fd, data, size / 2, at), "write",
       path, "");
}

static int synced(int fd, long number) {
    char path[PATH_MAX];
    struct stat found;
    int folder = fstat(fd, &found) == 0 && S_ISDIR(found.st_mode);
    AT(of_fd(fd, path), (int)syscall(number, fd), 0, folder ? "syncdir" : "fsync", path, "");
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    AT(of_fd(fd, path), (int)syscall(SYS_ftruncate, fd, size), 0, "truncate", path, "");
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    char path[PATH_MAX], target[PATH_MAX];
    AT(of_path(from_at, from, path) && of_path(to_at, to, target),
       (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0), 0, "rename", path, target);
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char path[PATH_MAX], target[PATH_MAX];
    AT(of_path(from_at, from, path) && of_path(to_at, to, target),
       (int)syscall(SYS_linkat, from_at, from, to_at, to, flags), 0, "link", path, target);
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    AT(of_path(at, name, path), (int)syscall(SYS_mkdirat, at, name, mode), 0, "mkdir", path, "");
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX];
    AT(of_path(at, name, path), (int)syscall(SYS_unlinkat, at, name, flags), 0, "unlink", path, "");
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int openat64(int at, const char *name, int flags, ...) {
    char path[PATH_MAX];
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    AT((flags & O_CREAT) && of_path(at, name, path), (int)syscall(SYS_openat, at, name, flags, mode), 0,
       flags & O_TRUNC ? "create-empty" : "create", path, "");
}

#define OPEN(function, signature, at)                                                                                  \
    int function signature {                                                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                      \
        va_end(rest);                                                                                                  \
        return openat64(at, name, flags, mode);                                                                        \
    }

OPEN(open, (const char *name, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *name, int flags, ...), AT_FDCWD)
OPEN(openat, (int at, const char *name, int flags, ...), at)
