/* A disk that can lose power, fail or hang, under a real process: loaded with LD_PRELOAD.
 *
 * Every call that changes a file below one directory is numbered and written to a log, in the order
 * in which it happened; from that log tests/crash/disk.py makes what a disk holds after a power cut.
 * A page that is shared with the test says at which number the process is killed, which calls fail
 * and with what, and whether the disk hangs. The log and the page lie outside the directory.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC, CREATE, RENAME, UNLINK, SYNC_DIRECTORY, MKDIR, OPEN, SYNC_FAILED };

struct control {        /* tests/crash/disk.py, Control */
    uint64_t calls;     /* numbered so far */
    uint64_t kill_at;   /* the process ends instead of making this call; 0: never */
    uint64_t fail_at;   /* this call and ... */
    uint64_t fail_count; /* ... so many in all fail */
    uint32_t fail_errno;
    uint32_t fail_kinds; /* bit of each kind that may fail; others are passed over */
    uint32_t hang;      /* 1: writes and syncs do not come back */
    uint32_t failed;    /* calls that were made to fail */
    uint64_t free_bytes; /* what statvfs says is left; all ones: the truth */
    uint32_t lies;      /* 1: syncs say that they are done, and do nothing */
    uint32_t padding;
    uint64_t quota;     /* files may take so many bytes in all; 0: no limit. statvfs knows nothing */
};

struct entry {          /* of the log; `size` bytes follow */
    uint32_t kind;
    uint32_t size;
    uint64_t inode;
    uint64_t offset;
} __attribute__((packed));

#define FILES 4096
static struct { uint64_t inode; char is_directory, path[240]; } files[FILES];
static char root[200];
static size_t root_length;
static volatile struct control *control;
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int (*next_open)(const char *, int, ...);
static int (*next_openat)(int, const char *, int, ...);
static int (*next_close)(int);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_pwrite)(int, const void *, size_t, off64_t);
static int (*next_ftruncate)(int, off64_t);
static int (*next_fallocate)(int, off64_t, off64_t);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);
static int (*next_rename)(const char *, const char *);
static int (*next_unlink)(const char *);
static int (*next_mkdir)(const char *, mode_t);
static int (*next_statvfs)(const char *, struct statvfs64 *);

__attribute__((constructor)) static void find(void) {
    next_open = dlsym(RTLD_NEXT, "open64");
    next_openat = dlsym(RTLD_NEXT, "openat64");
    next_close = dlsym(RTLD_NEXT, "close");
    next_write = dlsym(RTLD_NEXT, "write");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    next_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    next_fallocate = dlsym(RTLD_NEXT, "posix_fallocate64");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    next_rename = dlsym(RTLD_NEXT, "rename");
    next_unlink = dlsym(RTLD_NEXT, "unlink");
    next_mkdir = dlsym(RTLD_NEXT, "mkdir");
    next_statvfs = dlsym(RTLD_NEXT, "statvfs64");
}

/* Begin: below `directory`, ordered by the page `page`, logged to `log`. 0 when it could. */
int disk_begin(const char *directory, const char *page, const char *log) {
    int fd = next_open(page, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    next_close(fd);
    log_fd = next_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (at == MAP_FAILED || log_fd < 0 || strlen(directory) >= sizeof root)
        return -1;
    control = at;
    strcpy(root, directory);
    root_length = strlen(root);
    return 0;
}

__attribute__((constructor(200))) static void begin_at_start(void) {
    const char *directory = getenv("CRASH_DISK");
    if (directory && disk_begin(directory, getenv("CRASH_PAGE"), getenv("CRASH_LOG")))
        abort();
}

static int ours(const char *path) {
    return control && path && !strncmp(path, root, root_length) &&
           (path[root_length] == '/' || !path[root_length]);
}

static int known(int fd) { return control && fd >= 0 && fd < FILES && files[fd].inode; }

static int is_index(const char *path) { /* SQLite's shared memory: a power cut leaves none */
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, "-shm");
}

static void say(uint32_t kind, uint64_t inode, uint64_t offset, const void *data, size_t size) {
    struct entry entry = {kind, size, inode, offset};
    struct iovec parts[2] = {{&entry, sizeof entry}, {(void *)data, size}};
    if (syscall(SYS_writev, log_fd, parts, size ? 2 : 1) < 0)
        abort();
}

/* Number a call, with the lock held. 0: make it; otherwise the errno it fails with. */
static int order(int kind) {
    while (control->hang && (kind == WRITE || kind == SYNC || kind == TRUNCATE)) {
        pthread_mutex_unlock(&lock);
        usleep(2000);
        pthread_mutex_lock(&lock);
    }
    uint64_t number = ++control->calls;
    if (number == control->kill_at)
        for (;;)
            syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (control->fail_at && number >= control->fail_at && control->fail_count &&
        control->fail_kinds >> kind & 1) {
        control->fail_count--;
        control->failed++;
        return control->fail_errno;
    }
    return 0;
}

static uint64_t used_below(const char *path) {
    uint64_t bytes = 0;
    DIR *at = opendir(path);
    for (struct dirent *one; at && (one = readdir(at));) {
        char whole[512];
        struct stat found;
        if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, ".."))
            continue;
        snprintf(whole, sizeof whole, "%s/%s", path, one->d_name);
        if (lstat(whole, &found))
            continue;
        bytes += S_ISDIR(found.st_mode) ? used_below(whole) : (uint64_t)found.st_blocks * 512;
    }
    if (at)
        closedir(at);
    return bytes;
}

static int over_quota(int fd, uint64_t end) { /* would a file that ends there be too much? */
    struct stat found;
    if (!control->quota || fstat(fd, &found) || end <= (uint64_t)found.st_size)
        return 0;
    return used_below(root) + end - found.st_size > control->quota;
}

#define QUOTA(fd, end)                      \
    if (over_quota(fd, end)) {              \
        pthread_mutex_unlock(&lock);        \
        errno = EDQUOT;                     \
        return -1;                          \
    }

#define BEGIN(kind)                         \
    pthread_mutex_lock(&lock);              \
    int failure = order(kind);              \
    if (failure) {                          \
        pthread_mutex_unlock(&lock);        \
        errno = failure;                    \
        return -1;                          \
    }
#define END                                 \
    do {                                    \
        int kept = errno;                   \
        pthread_mutex_unlock(&lock);        \
        errno = kept;                       \
    } while (0)

static int open_ours(int at, const char *path, int flags, mode_t mode) {
    struct stat found;
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!writes) {
        int fd = at == AT_FDCWD ? next_open(path, flags, mode) : next_openat(at, path, flags, mode);
        if (fd >= 0 && fd < FILES && !fstat(fd, &found) && S_ISDIR(found.st_mode)) {
            files[fd].is_directory = 1;
            files[fd].inode = found.st_ino;
            strncpy(files[fd].path, path, sizeof files[fd].path - 1);
        }
        return fd;
    }
    BEGIN(OPEN);
    int there = !lstat(path, &found);
    int fd = next_open(path, flags, mode);
    if (fd >= 0 && fd < FILES && !fstat(fd, &found)) {
        files[fd].inode = is_index(path) ? (uint64_t)-1 : found.st_ino;
        files[fd].is_directory = 0;
        if (!there && !is_index(path))
            say(CREATE, found.st_ino, 0, path, strlen(path));
        else if (flags & O_TRUNC)
            say(TRUNCATE, found.st_ino, 0, NULL, 0);
    }
    END;
    return fd;
}

#define OPENER(name)                                                    \
    int name(const char *path, int flags, ...) {                        \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                   \
        if (!ours(path))                                                \
            return next_open(path, flags, mode);                        \
        return open_ours(AT_FDCWD, path, flags, mode);                  \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                 \
    int name(int at, const char *path, int flags, ...) {                \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                   \
        if (!ours(path))                                                \
            return next_openat(at, path, flags, mode);                  \
        return open_ours(AT_FDCWD, path, flags, mode);                  \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < FILES)
        files[fd].inode = 0;
    return next_close(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    if (!known(fd))
        return next_pwrite(fd, data, size, offset);
    BEGIN(WRITE);
    QUOTA(fd, offset + size);
    ssize_t done = next_pwrite(fd, data, size, offset);
    if (done > 0 && files[fd].inode != (uint64_t)-1)
        say(WRITE, files[fd].inode, offset, data, done);
    END;
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!known(fd))
        return next_write(fd, data, size);
    BEGIN(WRITE);
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    QUOTA(fd, offset + size);
    ssize_t done = next_write(fd, data, size);
    if (done > 0 && files[fd].inode != (uint64_t)-1)
        say(WRITE, files[fd].inode, offset, data, done);
    END;
    return done;
}

int ftruncate64(int fd, off64_t size) {
    if (!known(fd))
        return next_ftruncate(fd, size);
    BEGIN(TRUNCATE);
    int done = next_ftruncate(fd, size);
    if (!done && files[fd].inode != (uint64_t)-1)
        say(TRUNCATE, files[fd].inode, size, NULL, 0);
    END;
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    struct stat found;
    if (!known(fd))
        return next_fallocate(fd, offset, size);
    pthread_mutex_lock(&lock);
    int failure = order(TRUNCATE);
    if (!failure && over_quota(fd, offset + size))
        failure = EDQUOT;
    int done = failure ? failure : next_fallocate(fd, offset, size);
    if (!done && !fstat(fd, &found))
        say(TRUNCATE, files[fd].inode, found.st_size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

static int sync_ours(int fd, int (*next)(int)) {
    pthread_mutex_lock(&lock);
    int failure = order(SYNC);
    if (failure) { /* what was dirty is clean now, and was not written */
        if (!files[fd].is_directory && files[fd].inode != (uint64_t)-1)
            say(SYNC_FAILED, files[fd].inode, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
        errno = failure;
        return -1;
    }
    int done = control->lies ? 0 : next(fd);
    if (control->lies) {
        pthread_mutex_unlock(&lock);
        return done;
    }
    if (!done && files[fd].is_directory)
        say(SYNC_DIRECTORY, 0, 0, files[fd].path, strlen(files[fd].path));
    else if (!done && files[fd].inode != (uint64_t)-1)
        say(SYNC, files[fd].inode, 0, NULL, 0);
    END;
    return done;
}
int fsync(int fd) { return known(fd) ? sync_ours(fd, next_fsync) : next_fsync(fd); }
int fdatasync(int fd) { return known(fd) ? sync_ours(fd, next_fdatasync) : next_fdatasync(fd); }

int rename(const char *from, const char *to) {
    if (!ours(from))
        return next_rename(from, to);
    BEGIN(RENAME);
    int done = next_rename(from, to);
    if (!done) {
        char both[512];
        size_t first = strlen(from) + 1, second = strlen(to);
        memcpy(both, from, first);
        memcpy(both + first, to, second);
        say(RENAME, 0, 0, both, first + second);
    }
    END;
    return done;
}

int unlink(const char *path) {
    if (!ours(path))
        return next_unlink(path);
    BEGIN(UNLINK);
    int done = next_unlink(path);
    if (!done)
        say(UNLINK, 0, 0, path, strlen(path));
    END;
    return done;
}

int mkdir(const char *path, mode_t mode) {
    if (!ours(path))
        return next_mkdir(path, mode);
    BEGIN(MKDIR);
    int done = next_mkdir(path, mode);
    if (!done)
        say(MKDIR, 0, 0, path, strlen(path));
    END;
    return done;
}

static int statvfs_ours(const char *path, struct statvfs64 *found) {
    int done = next_statvfs(path, found);
    if (!done && ours(path) && control->free_bytes != UINT64_MAX)
        found->f_bavail = control->free_bytes / found->f_frsize;
    return done;
}
int statvfs64(const char *path, struct statvfs64 *found) { return statvfs_ours(path, found); }
int statvfs(const char *path, struct statvfs *found) {
    return statvfs_ours(path, (struct statvfs64 *)found);
}
