/* SPDX-License-Identifier: Apache-2.0 */
#include "host/doctor.h"

#include <curl/curl.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 256
#define A_DAY_OF_2026 1767225600 /* certificates in use are younger than this program */

void otter_doctor_say(struct otter_doctor_check *check, enum otter_doctor_state state,
                      const char *advice, const char *format, ...)
{
    va_list ap;

    check->state = state;
    snprintf(check->advice, sizeof(check->advice), "%s", advice);
    va_start(ap, format);
    vsnprintf(check->found, sizeof(check->found), format, ap);
    va_end(ap);
}

/* ---- groups -------------------------------------------------------------------------------- */

static bool among(gid_t wanted, const gid_t *groups, int count)
{
    for (int i = 0; i < count; i++) {
        if (groups[i] == wanted) {
            return true;
        }
    }
    return false;
}

bool otter_doctor_join(char *advice, size_t size, const char *group)
{
    gid_t groups[GROUPS_MAX];
    const struct group *entry = getgrnam(group);
    const struct passwd *user = getpwuid(geteuid());
    const char *name = user != NULL ? user->pw_name : "$USER";

    if (entry == NULL) {
        snprintf(advice, size, "be root (there is no group %s on this machine)", group);
        return false;
    }
    gid_t wanted = entry->gr_gid;
    if (wanted == getegid() || among(wanted, groups, getgroups(GROUPS_MAX, groups))) {
        return true;
    }
    int count = GROUPS_MAX;
    if (user != NULL && getgrouplist(name, user->pw_gid, groups, &count) >= 0 &&
        among(wanted, groups, count)) {
        snprintf(advice, size, "log out and in again: you joined the group %s after logging in",
                 group);
    } else {
        snprintf(advice, size,
                 "join the group %s, then log out and in again: sudo usermod -aG %s %s", group,
                 group, name);
    }
    return false;
}

/* ---- serial ports, for ESP-Hosted ----------------------------------------------------------- */

static void check_port(const char *path, otter_doctor_tell tell, void *ctx)
{
    struct otter_doctor_check check = {.area = "serial", .name = "port"};
    char advice[sizeof(check.advice)] = "";
    struct stat st;

    if (access(path, R_OK | W_OK) == 0) {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "", "%s can be read and written", path);
    } else if (errno == EACCES && stat(path, &st) == 0) {
        const struct group *group = getgrgid(st.st_gid);

        if (group != NULL && (st.st_mode & 0060) == 0060 && st.st_gid != 0) {
            char name[64];

            snprintf(name, sizeof(name), "%s", group->gr_name);
            (void)otter_doctor_join(advice, sizeof(advice), name);
        } else {
            snprintf(advice, sizeof(advice),
                     "give a group of yours access to it, with a udev rule");
        }
        otter_doctor_say(&check, OTTER_DOCTOR_BAD, advice, "%s: this user may not use it", path);
    } else {
        otter_doctor_say(&check, OTTER_DOCTOR_BAD, "", "%s: %s", path, strerror(errno));
    }
    tell(ctx, &check);
}

static void check_serial(otter_doctor_tell tell, void *ctx)
{
    static const char *const patterns[] = {"/dev/ttyUSB*", "/dev/ttyACM*", "/dev/esps*"};
    struct otter_doctor_check none = {.area = "serial", .name = "port"};
    glob_t found = {0};

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        (void)glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        check_port(found.gl_pathv[i], tell, ctx);
    }
    if (found.gl_pathc == 0) {
        otter_doctor_say(&none, OTTER_DOCTOR_OK, "",
                         "none is plugged in (ttyUSB, ttyACM, esps): nothing to check");
        tell(ctx, &none);
    }
    globfree(&found);
}

/* ---- servers -------------------------------------------------------------------------------- */

/* Where curl looks for the roots that are trusted. */
static const char *roots_of_the_system(void)
{
    const char *path = NULL;

#ifdef CURLINFO_CAINFO
    CURL *easy = curl_easy_init();

    if (easy != NULL && curl_easy_getinfo(easy, CURLINFO_CAINFO, &path) != CURLE_OK) {
        path = NULL;
    }
    curl_easy_cleanup(easy); /* the path is built in and stays */
#endif
    return path != NULL ? path : "/etc/ssl/certs/ca-certificates.crt";
}

static void check_https(otter_doctor_tell tell, void *ctx)
{
    struct otter_doctor_check check = {.area = "https", .name = "roots"};
    const char *path = roots_of_the_system();
    struct stat st;

    if (stat(path, &st) != 0 && errno == ENOENT) {
        otter_doctor_say(&check, OTTER_DOCTOR_WARNING,
                         "sudo apt install ca-certificates, or name a server's certificate with "
                         "--cacert",
                         "%s is not there: no server can be trusted without --cacert", path);
    } else if (access(path, R_OK) != 0 || stat(path, &st) != 0) {
        otter_doctor_say(&check, OTTER_DOCTOR_BAD, "make it readable: sudo chmod a+r", "%s: %s",
                         path, strerror(errno));
    } else if (st.st_size == 0) {
        otter_doctor_say(&check, OTTER_DOCTOR_BAD, "sudo update-ca-certificates", "%s is empty",
                         path);
    } else {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "", "%s can be read", path);
    }
    tell(ctx, &check);

    struct otter_doctor_check clock = {.area = "https", .name = "clock"};
    time_t now = time(NULL);
    char date[32] = "";
    struct tm tm;

    strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&now, &tm));
    if (now < A_DAY_OF_2026) {
        otter_doctor_say(&clock, OTTER_DOCTOR_BAD, "sudo timedatectl set-ntp true, or set the date",
                         "the clock says %s: certificates will seem to be of the future", date);
    } else {
        otter_doctor_say(&clock, OTTER_DOCTOR_OK, "", "the clock says %s", date);
    }
    tell(ctx, &clock);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void check_files(otter_doctor_tell tell, void *ctx)
{
    struct otter_doctor_check check = {.area = "files", .name = "sockets"};
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (runtime == NULL || *runtime != '/') {
        otter_doctor_say(&check, OTTER_DOCTOR_WARNING,
                         "name the folder of their sockets: otter scan att:FOLDER",
                         "XDG_RUNTIME_DIR is not set: virtual devices are not found on their own");
    } else if (access(runtime, R_OK | W_OK | X_OK) != 0) {
        otter_doctor_say(
            &check, OTTER_DOCTOR_WARNING, "log in as this user instead of using su or sudo",
            "XDG_RUNTIME_DIR is %.160s, which cannot be used: %s", runtime, strerror(errno));
    } else {
        otter_doctor_say(&check, OTTER_DOCTOR_OK, "",
                         "virtual devices are looked for in %.200s/otter", runtime);
    }
    tell(ctx, &check);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void (*const checks[])(otter_doctor_tell tell, void *ctx) = {
    otter_doctor_bluetooth,
    check_serial,
    check_https,
    check_files,
};

const char *const otter_doctor_areas[] = {"bluetooth", "serial", "https", "files", NULL};

void otter_doctor_run(const char *area, otter_doctor_tell tell, void *ctx)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (area == NULL || strcmp(area, otter_doctor_areas[i]) == 0) {
            checks[i](tell, ctx);
        }
    }
}
