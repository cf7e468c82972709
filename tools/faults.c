/* Faults of a disk, for tools/faults.py: the n-th call that changes a file below some folders fails
 * as on a full disk, and all later ones; or the process is killed in it, a write half done. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 1, FULL = 2, KILL = 3 };

static int mode;
static long at;
static atomic_long calls;
static char below[4096];

void faults_begin(int what, long n, const char *folder) {
    atomic_store(&calls, 0);
    at = n;
    snprintf(below, sizeof below, "%s/", folder);
    mode = what;
}

long faults_count(void) { return atomic_load(&calls); }

static int concerns(int folder, const char *path) {
    char whole[8192], link[64];
    if (!mode || !path) return 0;
    if (path[0] == '/' ) return !strncmp(path, below, strlen(below));
    if (folder == AT_FDCWD) {
        if (!getcwd(whole, 4096)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, whole, 4096);
        if (size < 0) return 0;
        whole[size] = 0;
    }
    strcat(whole, "/");
    strncat(whole, path, 4000);
    return !strncmp(whole, below, strlen(below));
}

static int concerns_open(int descriptor) {
    char link[64], path[4097];
    if (!mode) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, 4096);
    if (size < 0) return 0;
    path[size] = 0;
    return !strncmp(path, below, strlen(below));
}

/* Whether a call fails; `takes_room`: it would on a full disk. */
static int strikes(int takes_room) {
    if (mode == FULL && !takes_room) return 0;
    long now = atomic_fetch_add(&calls, 1) + 1;
    if (mode == KILL && now == at) return 1;
    if (mode == FULL && now >= at) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name); real; })
#define STRIKE(room) do { if (strikes(room)) { if (mode == KILL) die(); return -1; } } while (0)

#define OPEN(name) int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); \
        mode_t rights = va_arg(more, mode_t); va_end(more); \
        struct stat known; \
        if ((flags & (O_CREAT | O_TRUNC)) && concerns(AT_FDCWD, path)) { \
            int is_new = stat(path, &known) != 0; \
            if (is_new || (flags & O_TRUNC)) STRIKE(is_new); \
        } \
        return REAL(name)(path, flags, rights); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) int name(int folder, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); \
        mode_t rights = va_arg(more, mode_t); va_end(more); \
        struct stat known; \
        if ((flags & (O_CREAT | O_TRUNC)) && concerns(folder, path)) { \
            int is_new = fstatat(folder, path, &known, 0) != 0; \
            if (is_new || (flags & O_TRUNC)) STRIKE(is_new); \
        } \
        return REAL(name)(folder, path, flags, rights); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) FILE *name(const char *path, const char *how) { \
        struct stat known; \
        if (strpbrk(how, "wa+") && concerns(AT_FDCWD, path)) { \
            if (strikes(stat(path, &known) != 0)) { if (mode == KILL) die(); return NULL; } \
        } \
        return REAL(name)(path, how); \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define WRITE(name, more_types, more_names) \
    ssize_t name(int descriptor, const void *data, size_t size more_types) { \
        if (size && concerns_open(descriptor) && strikes(1)) { \
            if (mode != KILL) return -1; \
            REAL(name)(descriptor, data, size / 2 more_names); \
            die(); \
        } \
        return REAL(name)(descriptor, data, size more_names); \
    }
#define COMMA ,
WRITE(write, , )
WRITE(pwrite, COMMA off_t place, COMMA place)
WRITE(pwrite64, COMMA off64_t place, COMMA place)

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (concerns_open(descriptor)) STRIKE(1);
    return REAL(writev)(descriptor, parts, count);
}

#define OF_OPEN(name, room, types, names) \
    int name types { if (concerns_open(descriptor)) STRIKE(room); return REAL(name) names; }
OF_OPEN(fsync, 0, (int descriptor), (descriptor))
OF_OPEN(fdatasync, 0, (int descriptor), (descriptor))
OF_OPEN(ftruncate, 0, (int descriptor, off_t size), (descriptor, size))
OF_OPEN(ftruncate64, 0, (int descriptor, off64_t size), (descriptor, size))

#define ALLOCATE(name, type) int name(int descriptor, type start, type size) { \
        if (concerns_open(descriptor) && strikes(1)) { if (mode == KILL) die(); return ENOSPC; } \
        return REAL(name)(descriptor, start, size); \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

#define OF_PATH(name, room, folder, types, names) \
    int name types { if (concerns(folder, path)) STRIKE(room); return REAL(name) names; }
OF_PATH(mkdir, 1, AT_FDCWD, (const char *path, mode_t rights), (path, rights))
OF_PATH(mkdirat, 1, at_, (int at_, const char *path, mode_t rights), (at_, path, rights))
OF_PATH(rmdir, 0, AT_FDCWD, (const char *path), (path))
OF_PATH(unlink, 0, AT_FDCWD, (const char *path), (path))
OF_PATH(unlinkat, 0, at_, (int at_, const char *path, int flags), (at_, path, flags))
OF_PATH(rename, 0, AT_FDCWD, (const char *old, const char *path), (old, path))
OF_PATH(renameat, 0, to, (int from, const char *old, int to, const char *path), (from, old, to, path))
OF_PATH(link, 1, AT_FDCWD, (const char *old, const char *path), (old, path))
OF_PATH(linkat, 1, to, (int from, const char *old, int to, const char *path, int flags),
        (from, old, to, path, flags))
OF_PATH(symlink, 1, AT_FDCWD, (const char *old, const char *path), (old, path))
