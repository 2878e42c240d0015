/* An app's process, with C in the place of Java: it loads the library as `System.loadLibrary` does,
 * keeps what the library registers, and calls it from two threads for ever; or one function that is
 * named after the library. */
typedef unsigned long size;
void *dlopen(const char *, int);
void *dlsym(void *, const char *);
char *dlerror(void);
void *malloc(size);
void free(void *);
void *memcpy(void *, const void *, size);
size strlen(const char *);
long write(int, const void *, size);
int poll(void *, size, int);
int pthread_create(void *, void *, void *(*)(void *), void *);

/* The tables of functions that the library gets, by the places that Java's interface has them at. */
enum { GET_ENV = 6, FIND_CLASS = 6, NEW_STRING = 167, REGISTER = 215, COUNT = 233 };
static void *vm[8], *env[COUNT];
static void **the_vm = vm, **the_env = env;

static int is(const char *text, const char *other) {
    while (*text && *text == *other) text++, other++;
    return *text == *other;
}

typedef char *(*native)(void *env, void *class);
static native render;
struct method { const char *name, *signature; void *function; };

static int get_env(void *vm, void **to, int version) {
    (void)vm;
    *to = &the_env;
    return version == 0x10006 ? 0 : -3;
}
static void *find_class(void *env, const char *name) {
    (void)env;
    return is(name, "com/example/app/Native") ? (void *)name : 0;
}
static int register_natives(void *env, void *class, const struct method *methods, int count) {
    (void)env, (void)class;
    for (int n = 0; n < count; n++)
        if (is(methods[n].name, "render")) render = (native)methods[n].function;
    return 0;
}
static char *new_string(void *env, const char *text) {
    (void)env;
    return memcpy(malloc(strlen(text) + 1), text, strlen(text) + 1);
}

/* One line of the log. */
static void say(const char *of, const char *text) {
    char line[500];
    size before = strlen(of), length = strlen(text);
    memcpy(line, of, before);
    memcpy(line + before, text, length);
    line[before + length] = '\n';
    write(1, line, before + length + 1);
}

static void call(native function, const char *of) {
    for (;;) {
        char *text = function(&the_env, 0);
        say(of, text);
        free(text);
        poll(0, 0, 200);
    }
}
static void *renders(void *nothing) {
    call(render, "render ");
    return nothing;
}

/* Calls a function that returns a number. */
static void answers(int (*function)(void *, void *)) {
    char text[] = "answer=00";
    while (function) {
        int answer = function(&the_env, 0);
        text[7] = '0' + answer / 10 % 10, text[8] = '0' + answer % 10;
        say("ui ", text);
        poll(0, 0, 200);
    }
}

int main(int count, char **args) {
    enum { RTLD_NOW = 2, RTLD_LOCAL = 0 };
    void *library = count > 1 ? dlopen(args[1], RTLD_NOW | RTLD_LOCAL) : 0, *thread[8];
    if (!library) {
        say("not loaded: ", dlerror());
        return 3;
    }
    if (count > 2) answers(dlsym(library, args[2]));
    vm[GET_ENV] = get_env;
    env[FIND_CLASS] = find_class, env[NEW_STRING] = new_string, env[REGISTER] = register_natives;
    int (*on_load)(void *, void *) = dlsym(library, "JNI_OnLoad");
    native tick = dlsym(library, "Java_com_example_app_Native_tick");
    /* What the library has is not for all. */
    if (!on_load || !tick || dlsym(0, "JNI_OnLoad")) return 4;
    if (on_load(&the_vm, 0) != 0x10006 || !render) return 5;
    pthread_create(thread, 0, renders, 0);
    call(tick, "ui ");
}
