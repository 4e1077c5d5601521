/* SPDX-License-Identifier: Apache-2.0 */
#include "users.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"
#include "request.h"

#define HASH_MAX 256u
#define USERS_MAX 10000u

struct user {
    char name[USER_NAME_MAX + 1];
    char hash[HASH_MAX];
    enum role role;
};

struct users {
    const char *file;     /* NULL: none */
    struct user fixed[2]; /* of the environment */
    size_t fixed_count;
    char dummy[HASH_MAX]; /* what an unknown name is checked against */
    atomic_uint_fast64_t generation;
    pthread_mutex_t lock; /* guards list and count */
    struct user *list;
    size_t count;
};

bool users_role(const char *word, enum role *role)
{
    if (strcmp(word, "admin") == 0) {
        *role = ROLE_ADMIN;
    } else if (strcmp(word, "device") == 0) {
        *role = ROLE_DEVICE;
    } else if (strcmp(word, "remove") == 0) {
        *role = ROLE_NONE;
    } else {
        return false;
    }
    return true;
}

static bool good_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ':') {
            return false;
        }
    }
    return len > 0 && len <= USER_NAME_MAX;
}

static bool make_hash(const char *password, char out[HASH_MAX])
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *hash = NULL;
    if (data != NULL && crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) != NULL) {
        hash = crypt_r(password, salt, data);
    }
    bool good = hash != NULL && hash[0] != '*' && strlen(hash) < HASH_MAX;
    if (good) {
        strcpy(out, hash);
    }
    if (data != NULL) {
        OPENSSL_cleanse(data, sizeof *data);
    }
    free(data);
    return good;
}

/* Constant time in the hashes' bytes. */
static bool verify(const char *password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL) {
        return false;
    }
    const char *got = crypt_r(password, hash, data);
    bool good = got != NULL && got[0] != '*' && strlen(got) == strlen(hash) &&
                CRYPTO_memcmp(got, hash, strlen(hash)) == 0;
    OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return good;
}

/* One line of the file. True also for what is skipped. */
static bool parse_line(char *line, struct user *user, bool *is_user)
{
    char *save = NULL;
    line[strcspn(line, "\r\n")] = 0;
    *is_user = line[0] != 0 && line[0] != '#';
    if (!*is_user) {
        return true;
    }
    const char *name = strtok_r(line, ":", &save);
    const char *role = strtok_r(NULL, ":", &save);
    const char *hash = strtok_r(NULL, ":", &save);
    if (name == NULL || role == NULL || hash == NULL || !good_name(name) ||
        !users_role(role, &user->role) || user->role == ROLE_NONE || hash[0] != '$' ||
        strlen(hash) >= HASH_MAX) {
        return false;
    }
    strcpy(user->name, name);
    strcpy(user->hash, hash);
    return true;
}

static bool read_file(const char *path, struct user **list, size_t *count, char *error,
                      size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(error, error_size, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    char line[512];
    bool good = true;
    for (int number = 1; good && fgets(line, sizeof line, file) != NULL; number++) {
        struct user user = {0};
        bool is_user;
        good = parse_line(line, &user, &is_user) && *count < USERS_MAX;
        if (!good) {
            snprintf(error, error_size, "%s, line %d: not name:role:hash", path, number);
        } else if (is_user) {
            struct user *larger = reallocarray(*list, *count + 1, sizeof user);
            if (larger == NULL) {
                abort();
            }
            *list = larger;
            (*list)[(*count)++] = user;
        }
    }
    OPENSSL_cleanse(line, sizeof line);
    if (good && ferror(file)) { /* those who were not read must not count as removed */
        snprintf(error, error_size, "cannot read %s: %s", path, strerror(errno));
        good = false;
    }
    fclose(file);
    return good;
}

bool users_reload(struct users *users, char *error, size_t error_size)
{
    struct user *list = NULL;
    size_t count = 0;
    if (users->file != NULL && !read_file(users->file, &list, &count, error, error_size)) {
        free(list);
        return false;
    }
    pthread_mutex_lock(&users->lock);
    free(users->list);
    users->list = list;
    users->count = count;
    pthread_mutex_unlock(&users->lock);
    atomic_fetch_add(&users->generation, 1);
    return true;
}

static bool add_fixed(struct users *users, const char *name, const char *password, enum role role)
{
    if (name == NULL || password == NULL) {
        return true;
    }
    struct user *user = &users->fixed[users->fixed_count++];
    user->role = role;
    if (!good_name(name) || !make_hash(password, user->hash)) {
        return false;
    }
    strcpy(user->name, name);
    return true;
}

struct users *users_open(const struct options *options, char *error, size_t error_size)
{
    struct users *users = calloc(1, sizeof *users);
    if (users == NULL) {
        return NULL;
    }
    pthread_mutex_init(&users->lock, NULL);
    users->file = options->users;
    snprintf(error, error_size, "the user names in the environment cannot be used");
    bool good =
        make_hash("", users->dummy) &&
        add_fixed(users, options->env_user, options->env_password, ROLE_ADMIN) &&
        add_fixed(users, options->env_device_user, options->env_device_password, ROLE_DEVICE) &&
        users_reload(users, error, error_size);
    if (good && users->count + users->fixed_count == 0) {
        snprintf(error, error_size,
                 "nobody may log in: make users with `otterd init DIR`, or set US_AUTH_USERNAME "
                 "and US_AUTH_PASSWORD");
        good = false;
    }
    if (!good) {
        users_close(users);
        return NULL;
    }
    return users;
}

void users_close(struct users *users)
{
    if (users != NULL) {
        pthread_mutex_destroy(&users->lock);
        free(users->list);
        free(users);
    }
}

uint64_t users_generation(struct users *users)
{
    return atomic_load(&users->generation);
}

enum role users_check(struct users *users, const char *name, const char *password)
{
    struct user found = {.role = ROLE_NONE};
    pthread_mutex_lock(&users->lock);
    for (size_t i = 0; i < users->fixed_count + users->count; i++) {
        const struct user *user =
            i < users->fixed_count ? &users->fixed[i] : &users->list[i - users->fixed_count];
        if (strcmp(user->name, name) == 0) {
            found = *user;
            break;
        }
    }
    pthread_mutex_unlock(&users->lock);
    bool known = found.role != ROLE_NONE;
    bool good = verify(password, known ? found.hash : users->dummy);
    return known && good ? found.role : ROLE_NONE;
}

/* Copies the lines of other names. False: there are some, and they cannot be read. */
static bool copy_others(const char *file, const char *name, FILE *out)
{
    FILE *in = fopen(file, "re");
    char line[512];
    size_t len = strlen(name);
    bool begins = true; /* a line, not the rest of a long one */
    bool drop = false;
    if (in == NULL) {
        return errno == ENOENT;
    }
    while (fgets(line, sizeof line, in) != NULL) {
        drop = begins ? strncmp(line, name, len) == 0 && line[len] == ':' : drop;
        begins = strchr(line, '\n') != NULL;
        if (!drop) {
            fputs(line, out);
        }
    }
    if (!begins && !drop) {
        fputc('\n', out); /* what is added is a line of its own */
    }
    bool good = ferror(in) == 0;
    OPENSSL_cleanse(line, sizeof line);
    fclose(in);
    return good;
}

bool users_write(const char *file, const char *name, enum role role, const char *password,
                 char *error, size_t error_size)
{
    char path[4096];
    char hash[HASH_MAX];
    struct stat old;
    if (!good_name(name)) {
        snprintf(error, error_size, "a user name is 1 to %u visible characters without a colon",
                 USER_NAME_MAX);
        return false;
    }
    if (role != ROLE_NONE && !make_hash(password, hash)) {
        snprintf(error, error_size, "the password cannot be hashed");
        return false;
    }
    snprintf(path, sizeof path, "%s.new", file);
    unlink(path);
    mode_t mask = umask(077);
    FILE *out = fopen(path, "wxe");
    umask(mask);
    if (out == NULL) {
        snprintf(error, error_size, "cannot write %s: %s", path, strerror(errno));
        return false;
    }
    bool good = copy_others(file, name, out);
    const char *what = good ? "write" : "read";
    if (good && role != ROLE_NONE) {
        fprintf(out, "%s:%s:%s\n", name, role == ROLE_ADMIN ? "admin" : "device", hash);
    }
    good = good && fflush(out) == 0 && fsync(fileno(out)) == 0;
    /* Whoever could read the old file reads the new one. */
    if (good && stat(file, &old) == 0) {
        good = fchmod(fileno(out), old.st_mode & 0777) == 0 &&
               fchown(fileno(out), old.st_uid, old.st_gid) == 0;
    }
    int why = good ? 0 : errno;
    good = fclose(out) == 0 && good && rename(path, file) == 0;
    if (!good) {
        snprintf(error, error_size, "cannot %s %s: %s", what, file,
                 strerror(why != 0 ? why : errno));
        unlink(path);
    }
    return good;
}
