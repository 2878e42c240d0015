/* A stand-in for Android's C library, so that programs for Android run under qemu-aarch64 on a
 * machine with glibc. It has what differs between the two libraries as far as std and the runtime
 * see it; everything else is glibc's. It is not bionic: what only bionic's loader or Android's
 * kernel do is not tried by it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AS(name) __asm__(name)
#define NEXT(name) dlsym(RTLD_NEXT, name)

int *__errno(void) { return &errno; }
void android_set_abort_message(const char *text) { (void)text; }

/* The start of a program. */
typedef int (*start)(int, char **, char **);
int __libc_start_main(start, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
void __libc_init(long *raw, void *on_exit, start main, void *structors) {
    (void)on_exit, (void)structors;
    __libc_start_main(main, (int)raw[0], (char **)(raw + 1), 0, 0, 0, raw);
}

/* Functions that have another form. */
int __xpg_strerror_r(int, char *, size_t);
int own_strerror_r(int error, char *buffer, size_t size) AS("strerror_r");
int own_strerror_r(int error, char *buffer, size_t size) {
    return __xpg_strerror_r(error, buffer, size);
}
typedef void (*hook)(void);
int __register_atfork(hook, hook, hook, void *);
int pthread_atfork(hook before, hook parent, hook child) {
    return __register_atfork(before, parent, child, 0);
}

/* The same questions have other numbers. */
long own_sysconf(int) AS("sysconf");
long own_sysconf(int question) {
    long (*next)(int) = NEXT("sysconf");
    switch (question) {
    case 39: case 40: return next(_SC_PAGESIZE);
    case 96: return next(_SC_NPROCESSORS_CONF);
    case 97: return next(_SC_NPROCESSORS_ONLN);
    case 71: return next(_SC_GETGR_R_SIZE_MAX);
    case 72: return next(_SC_GETPW_R_SIZE_MAX);
    default: return -1;
    }
}

/* A thread's attributes have 56 bytes there and 64 here. */
struct attributes { pthread_attr_t *real; };
typedef pthread_attr_t *real;
int own_init(struct attributes *) AS("pthread_attr_init");
int own_init(struct attributes *a) {
    a->real = calloc(1, sizeof *a->real);
    return ((int (*)(real))NEXT("pthread_attr_init"))(a->real);
}
int own_destroy(struct attributes *) AS("pthread_attr_destroy");
int own_destroy(struct attributes *a) {
    int result = ((int (*)(real))NEXT("pthread_attr_destroy"))(a->real);
    free(a->real);
    return result;
}
int own_setstacksize(struct attributes *, size_t) AS("pthread_attr_setstacksize");
int own_setstacksize(struct attributes *a, size_t size) {
    return ((int (*)(real, size_t))NEXT("pthread_attr_setstacksize"))(a->real, size);
}
int own_getattr(pthread_t, struct attributes *) AS("pthread_getattr_np");
int own_getattr(pthread_t thread, struct attributes *a) {
    a->real = calloc(1, sizeof *a->real);
    return ((int (*)(pthread_t, real))NEXT("pthread_getattr_np"))(thread, a->real);
}
int own_getstack(struct attributes *, void **, size_t *) AS("pthread_attr_getstack");
int own_getstack(struct attributes *a, void **start, size_t *size) {
    return ((int (*)(real, void **, size_t *))NEXT("pthread_attr_getstack"))(a->real, start, size);
}
int own_create(pthread_t *, struct attributes *, void *(*)(void *), void *) AS("pthread_create");
int own_create(pthread_t *thread, struct attributes *a, void *(*body)(void *), void *argument) {
    int (*next)(pthread_t *, real, void *(*)(void *), void *) = NEXT("pthread_create");
    return next(thread, a ? a->real : 0, body, argument);
}

/* A set of signals has 8 bytes there and 128 here; an action has its parts in another order. */
#define RESTORER 0x04000000
struct action { int flags; void *handler; uint64_t mask; void (*restorer)(void); };
int own_sigaction(int, const struct action *, struct action *) AS("sigaction");
int own_sigaction(int signal, const struct action *new, struct action *old) {
    struct sigaction ours = {0}, before = {0};
    if (new) {
        ours.sa_handler = new->handler;
        ours.sa_flags = new->flags;
        memcpy(&ours.sa_mask, &new->mask, sizeof new->mask);
    }
    int (*next)(int, const struct sigaction *, struct sigaction *) = NEXT("sigaction");
    int result = next(signal, new ? &ours : 0, &before);
    if (old) {
        old->handler = before.sa_handler;
        old->flags = before.sa_flags & ~RESTORER;
        memcpy(&old->mask, &before.sa_mask, sizeof old->mask);
        old->restorer = 0;
    }
    return result;
}
int own_fill(uint64_t *) AS("sigfillset");
int own_fill(uint64_t *set) { *set = ~0ull; return 0; }
int own_empty(uint64_t *) AS("sigemptyset");
int own_empty(uint64_t *set) { *set = 0; return 0; }
int own_mask(int, const uint64_t *, uint64_t *) AS("pthread_sigmask");
int own_mask(int how, const uint64_t *new, uint64_t *old) {
    return syscall(SYS_rt_sigprocmask, how, new, old, sizeof *new) ? errno : 0;
}

/* `/data` of a device is a folder here. */
static const char *moved(const char *path, char room[1024]) {
    const char *device = getenv("ANDROID_STAND_IN_DATA");
    if (!device || !path || strncmp(path, "/data/", 6)) return path;
    snprintf(room, 1024, "%s%s", device, path);
    return room;
}
#define OPEN(name)                                                                                 \
    int own_##name(const char *, int, ...) AS(#name);                                              \
    int own_##name(const char *path, int flags, ...) {                                             \
        char room[1024];                                                                           \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        int mode = va_arg(more, int);                                                              \
        va_end(more);                                                                              \
        return ((int (*)(const char *, int, int))NEXT(#name))(moved(path, room), flags, mode);     \
    }
OPEN(open)
OPEN(open64)
/* The process that apps are forked from was started with other rights than who started it. */
unsigned long own_auxiliary(unsigned long) AS("getauxval");
unsigned long own_auxiliary(unsigned long what) {
    if (what == 23 && getenv("ANDROID_STAND_IN_DATA")) return 1;
    return ((unsigned long (*)(unsigned long))NEXT("getauxval"))(what);
}
#define MOVED(result, name, parameters, arguments)                                                 \
    result own_##name parameters AS(#name);                                                        \
    result own_##name parameters {                                                                 \
        char room[1024];                                                                           \
        path = moved(path, room);                                                                  \
        return ((result(*) parameters)NEXT(#name))arguments;                                       \
    }
MOVED(int, stat, (const char *path, void *to), (path, to))
MOVED(int, lstat, (const char *path, void *to), (path, to))
MOVED(int, mkdir, (const char *path, mode_t mode), (path, mode))
MOVED(int, unlink, (const char *path), (path))
MOVED(int, rmdir, (const char *path), (path))
MOVED(int, openat, (int at, const char *path, int flags, int mode), (at, path, flags, mode))
MOVED(int, openat64, (int at, const char *path, int flags, int mode), (at, path, flags, mode))
MOVED(int, unlinkat, (int at, const char *path, int flags), (at, path, flags))
MOVED(DIR *, opendir, (const char *path), (path))
MOVED(void *, dlopen, (const char *path, int flags), (path, flags))

/* Each property is a file in a folder. */
int __system_property_get(const char *name, char *value) {
    const char *folder = getenv("ANDROID_STAND_IN_PROPERTIES");
    char path[1024];
    value[0] = 0;
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "/nowhere", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long length = read(file, value, 91);
    close(file);
    value[length < 0 ? 0 : length] = 0;
    return (int)strlen(value);
}

int __android_log_write(int priority, const char *tag, const char *text) {
    (void)priority;
    return dprintf(2, "%s: %s\n", tag, text);
}

/* glibc remembers libraries by the names that they were asked for by, and numbers of files come
 * again, so that each gets a name of its own. */
struct options { uint64_t flags; void *address; size_t size; int relro, library; long offset; };
void *android_dlopen_ext(const char *name, int flags, const struct options *options) {
    static int calls;
    char path[1024] = "/proc/self";
    if (!options || options->flags != 0x10) return dlopen(name, flags);
    int call = __sync_add_and_fetch(&calls, 1);
    for (int n = 0; n < call && n < 200; n++) strcat(path, "/.");
    snprintf(path + strlen(path), 32, "/fd/%d", options->library);
    return dlopen(path, flags);
}

/* What compilers make of thread-locals there, from the compiler's own library. */
struct emulated { size_t size, align; void *key, *initial; };
void *__emutls_get_address(struct emulated *variable) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_key_t key;
    pthread_mutex_lock(&lock);
    if (!variable->key) {
        pthread_key_create(&key, 0);
        variable->key = (void *)(uintptr_t)(key + 1);
    }
    pthread_mutex_unlock(&lock);
    key = (pthread_key_t)(uintptr_t)variable->key - 1;
    void *value = pthread_getspecific(key);
    if (!value) {
        value = calloc(1, variable->size + 16);
        if (variable->initial) memcpy(value, variable->initial, variable->size);
        pthread_setspecific(key, value);
    }
    return value;
}
