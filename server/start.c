/* SPDX-License-Identifier: Apache-2.0 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopt.h"
#include "auth.h"
#include "log.h"

bool start_failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("otterd: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    return false;
}

/* The account to become; NULL, with *good telling whether that is right. */
static const struct passwd *account(const struct options *options, bool *good)
{
    const char *name = options->run_as != NULL ? options->run_as : "otterd";
    const struct passwd *found = getpwnam(name);
    *good = true;
    if (geteuid() != 0) {
        if (options->run_as != NULL && (found == NULL || found->pw_uid != geteuid())) {
            *good =
                start_failed("only root can become \"%s\": start as root, or without --user", name);
        }
        return NULL;
    }
    if (found == NULL) {
        *good = start_failed("there is no account \"%s\" to run as: make it with\n"
                             "  useradd --system --home-dir /var/lib/otterd otterd\n"
                             "or name another with --user",
                             name);
    }
    return found;
}

bool start_folder(const struct options *options)
{
    bool good;
    const struct passwd *who = account(options, &good);
    if (!good) {
        return false;
    }
    if (mkdir(options->data, 0700) != 0) {
        return errno == EEXIST ||
               start_failed("cannot make the data folder %s: %s; --data names another",
                            options->data, strerror(errno));
    }
    if (who != NULL && chown(options->data, who->pw_uid, who->pw_gid) != 0) {
        return start_failed("cannot give %s to %s: %s", options->data, who->pw_name,
                            strerror(errno));
    }
    return true;
}

bool start_drop_privileges(const struct options *options)
{
    bool good;
    const struct passwd *who = account(options, &good);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (who == NULL || who->pw_uid == 0) {
        return good;
    }
    if (initgroups(who->pw_name, who->pw_gid) != 0 || setgid(who->pw_gid) != 0 ||
        setuid(who->pw_uid) != 0 || setuid(0) == 0) {
        return start_failed("cannot become %s: %s", who->pw_name, strerror(errno));
    }
    if (!options->plain && access(options->key, R_OK) != 0) {
        log_event(LOG_LEVEL_WARNING, "certificate",
                  "%s cannot read %s: a renewed certificate needs a restart", who->pw_name,
                  options->key);
    }
    return true;
}

static bool lock_folder(struct server *server)
{
    const char *data = server->options.data;
    server->lock = openat(server->blobs.data, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (server->lock < 0) {
        return start_failed("cannot write in the data folder %s: %s", data, strerror(errno));
    }
    if (flock(server->lock, LOCK_EX | LOCK_NB) != 0) {
        return start_failed("another otterd is using the data folder %s", data);
    }
    return true;
}

/* A new database would name none of the contents, and what has no name is swept. An empty file is
 * a new database: a copy that broke off, say. */
static bool database_kept(struct server *server)
{
    const char *where = server->store_where;
    struct stat st;
    bool missing = stat(where, &st) != 0 ? errno == ENOENT : st.st_size == 0;
    if (!missing || !blobs_any(&server->blobs)) {
        return true;
    }
    return start_failed("%s is not there, or empty, but files that it should name are, in "
                        "%s/blobs: put it back, or move them away to begin anew",
                        where, server->options.data);
}

bool start_store(struct server *server)
{
    char error[512] = "";
    const struct store_ops *ops = server->store_ops;
    if (!blobs_open(&server->blobs, server->options.data, error, sizeof error)) {
        return start_failed("%s", error);
    }
    if (!lock_folder(server) || !database_kept(server)) {
        return false;
    }
    blobs_clear(&server->blobs);
    if (ops->prepare(server->store_where, error, sizeof error) != STORE_OK) {
        return start_failed("%s", error);
    }
    struct store *store = ops->open(server->store_where, false);
    if (store == NULL) {
        return start_failed("out of memory");
    }
    blobs_sweep(&server->blobs, ops, store);
    adopt_files(&server->blobs, ops, store);
    if (!lane_start(&server->store_lane, store) ||
        !lane_start(&server->auth_lane, auth_verdicts_new())) {
        return start_failed("cannot start a thread");
    }
    return true;
}

void stop_store(struct server *server)
{
    lane_stop(&server->auth_lane);
    lane_stop(&server->store_lane);
    auth_verdicts_free(server->auth_lane.ctx);
    if (server->store_ops != NULL) {
        server->store_ops->close(server->store_lane.ctx);
    }
    blobs_close(&server->blobs);
    if (server->lock >= 0) {
        close(server->lock);
    }
}
